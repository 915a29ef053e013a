"""Programs that are written elsewhere are those that are written here; nothing here needs Ray."""

import numpy as np
import pytest
import torch

from codegym import make_policy
from codegym.cluster.policy_actor import PolicyActor, load_weights, policy_files, take_weights
from codegym.cluster.remote_authors import LostActorError, RemoteAuthors
from codegym.episode import Request
from codegym.errors import ClusterError, ConfigError
from codegym.policies.checkpoint import load_policy, save_policy
from codegym.policy import Policy
from codegym.rollout.authors import WriteCall, skip_call, write_call
from codegym.rollout.collect import Rollout
from codegym.rollout.environments import make_env
from codegym.rollout.program_writer import Decoding
from tests.conftest import judge


def policy(seed=0):
    return make_policy("gpt:tiny", seed=seed)


def call(programs=3, budget=5, **rest):
    row = {"temperature": 1.0, "top_p": 1.0, "deterministic": False, **rest}
    return WriteCall(prompts=[[5, 6, 7]] * programs, n=2, budget=budget, **row)


class HereActor:
    """A PolicyActor of this process; the calls are written when their programs are fetched."""

    def __init__(self, name, files):
        self.name, self.alive, self.versions = name, True, []
        self._actor = PolicyActor()
        self._actor.start(files, torch.get_num_threads(), load_policy, dict)

    def write(self, version, weights, call, state):
        if not self.alive:
            raise LostActorError(self.name)
        return self, (version, weights, call, state)

    def finish(self, asked):
        if not self.alive:
            raise LostActorError(self.name)
        self.versions.append(asked[0])
        return self._actor.write(*asked)


class HereTroupe:
    """Two actors of this process; ``spare`` more replace lost actors."""

    def __init__(self, spare=0):
        self.left, self.all, self.puts = 2 + spare, [], 0

    def start(self, policy):
        lacking = min(self.left, 2 - sum(actor.alive for actor in self.all))
        self.left -= lacking
        files = policy_files(policy, save_policy) if lacking else {}
        new = [HereActor(f"actor {len(self.all) + number}", files) for number in range(lacking)]
        self.all += new
        return new

    def put(self, policy):
        self.puts += 1
        return take_weights(policy)

    def is_ready(self, reference):
        return True

    def get(self, reference):
        actor, asked = reference
        return actor.finish(asked)

    def lose(self, actor):
        actor.alive = False

    def close(self):
        for actor in self.all:
            actor.alive = False


def rollout(made, authors=None, tasks=6, **rest):
    env = make_env("CodeGym/Synthesis-v0", made, tasks="tiny", budget=12, judge=judged())
    chosen = [env.source[number] for number in range(tasks)]
    return Rollout(
        env,
        made,
        chosen,
        Request(tasks=tasks, samples=4, greedy=True),
        rng=torch.Generator().manual_seed(3),
        decoding=Decoding(rows=8, **rest),
        authors=authors,
    )


def judged():
    from codegym.grading.judge import Judge

    return Judge(stand_in=judge)


def numbers(episodes):
    return [
        (
            each.task_id,
            each.actions.tolist(),
            each.log_probs.tobytes(),
            each.values.tobytes(),
            each.greedy,
            each.policy_version,
        )
        for each in episodes
    ]


@pytest.mark.parametrize("name", ["gpt:tiny", "uniform"])
def test_skipping_a_call_leaves_the_generator_where_writing_does(name):
    made = make_policy(name, seed=1)
    for asked in (call(), call(deterministic=True), call(1, 40), call(top_p=0.9)):
        written, skipped = (torch.Generator().manual_seed(9) for _ in range(2))
        write_call(made, asked, written)
        skip_call(made, asked, skipped)
        assert torch.equal(written.get_state(), skipped.get_state())


def test_a_policy_that_cannot_be_foreseen_is_refused():
    class Own(type(policy())):
        skip = Policy.skip

    with pytest.raises(ConfigError, match="several machines"):
        skip_call(Own(policy().tokenizer, seed=0), call(), torch.Generator())


def test_rollouts_on_actors_have_the_bits_of_local_rollouts():
    made = policy()
    authors = RemoteAuthors(HereTroupe())
    assert numbers(rollout(made, authors).wait()) == numbers(rollout(made).wait())


def test_weights_are_put_once_a_version_and_are_those_of_their_rollout():
    made, troupe = policy(), HereTroupe()
    authors = RemoteAuthors(troupe)
    before = numbers(rollout(made).wait())
    begun = rollout(made, authors)
    rollout(made, authors).wait()
    with torch.no_grad():
        for weight in made.module.parameters():
            weight.mul_(1.5)
    made.mark_updated()
    # It was begun before the update: whenever it is written, it is written by the older weights.
    later = rollout(made, authors)
    assert numbers(later.wait()) == numbers(rollout(made).wait())
    assert numbers(begun.wait()) == before
    assert troupe.puts == 2


def test_a_lost_actor_changes_no_bit():
    made, troupe = policy(), HereTroupe(spare=1)
    authors = RemoteAuthors(troupe)
    begun = rollout(made, authors)
    troupe.all[0].alive = False
    begun.poll()
    assert numbers(begun.wait()) == numbers(rollout(made).wait())
    assert authors.losses == 1
    authors.pin(made)
    assert len(troupe.all) == 3


def test_no_actor_left_is_an_error_in_time():
    made, troupe, now = policy(), HereTroupe(), [0.0]
    authors = RemoteAuthors(
        troupe,
        patience_s=5.0,
        clock=lambda: now[0],
        sleep=lambda seconds: now.__setitem__(0, now[0] + seconds),
    )
    begun = rollout(made, authors)
    for actor in troupe.all:
        actor.alive = False
    with pytest.raises(ClusterError, match="no node of the cluster is left"):
        begun.wait()
    assert now[0] == 5.0


def test_an_error_of_a_call_is_raised_here():
    made = policy()
    author = RemoteAuthors(HereTroupe()).pin(made)
    with pytest.raises(ConfigError, match="temperature"):
        next(author.write([call(temperature=0.0)], torch.Generator()))


def test_a_restored_rollout_has_the_programs_of_its_actors():
    made = policy()
    begun = rollout(made, RemoteAuthors(HereTroupe()))
    state = begun.state_dict()
    env = make_env("CodeGym/Synthesis-v0", made, tasks="tiny", budget=12, judge=judged())
    again = Rollout.from_state(state, env, made)
    assert numbers(again.wait()) == numbers(rollout(made).wait())


def test_weights_of_every_type_cross_to_the_last_bit():
    made, other = policy(0), policy(1)
    made.module.value_head.to(torch.bfloat16)
    other.module.value_head.to(torch.bfloat16)
    load_weights(other, take_weights(made), version=17)
    assert other.version == 17
    for name, tensor in made.module.state_dict().items():
        assert torch.equal(tensor, other.module.state_dict()[name]), name


def test_frozen_weights_do_not_cross():
    made = policy()
    made.module.transformer.embed_in.weight.requires_grad_(False)
    names = set(take_weights(made))
    assert "transformer.embed_in.weight" not in names and names
    assert all(isinstance(data, np.ndarray) for _, _, data in take_weights(made).values())
