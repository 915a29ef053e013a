"""Fleets without Ray: nodes that are objects of this process, and can be lost."""

import threading

from codegym.cluster.job_frames import pack_answers, unpack_jobs
from codegym.cluster.node_grader import NodeGrader


class LocalGrader:
    """A NodeGrader of this process behind the driver's protocol; ``kill`` loses it."""

    def __init__(self, name, workers=1, isolation="auto"):
        self.name, self.workers = name, workers
        self.node = NodeGrader()
        self.facts = self.node.start(isolation, workers, ())
        self.dead = False

    def submit(self, frame, learnt):
        if not self.dead:
            self.node.submit(frame, learnt)

    def collect(self, then):
        def wait():
            answer = self.node.collect()
            then(ConnectionError("gone") if self.dead else answer)

        threading.Thread(target=wait, daemon=True).start()

    def kill(self):
        self.dead = True

    def stop(self):
        self.dead = True
        self.node.stop()


class ScriptedGrader:
    """Answers jobs by a function, when it is told to."""

    def __init__(self, name, answer, workers=1):
        self.name, self.workers, self._answer = name, workers, answer
        self.frames, self.learnt, self.waiting = [], [], []
        self.then, self.stopped = None, False

    def submit(self, frame, learnt):
        self.frames.append(frame)
        self.learnt += learnt
        self.waiting += unpack_jobs(frame)

    def collect(self, then):
        assert self.then is None, "asked twice"
        self.then = then

    def give(self, count=None):
        """Answer the first so many jobs."""
        taken = self.waiting[:count]
        del self.waiting[: len(taken)]
        then, self.then = self.then, None
        then(pack_answers([(number, self._answer(job)) for number, job, _ in taken]))

    def fail(self, error):
        then, self.then = self.then, None
        then(error)

    def stop(self):
        self.stopped = True


class ListFleet:
    """A fleet whose later graders are given in advance."""

    def __init__(self, later=(), isolation="namespace"):
        self.isolation, self.later = isolation, list(later)
        self.gone, self.closed = [], False

    def look(self):
        found, self.later = self.later, []
        return found

    def lost(self, grader):
        self.gone.append(grader.name)

    def close(self):
        self.closed = True
