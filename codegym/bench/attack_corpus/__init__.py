"""Attack corpus: programs in fourteen classes that try to get an undeserved verdict.

Each class has its own file. The programs are data; ``codegym.bench.attacks`` runs them.
"""

from codegym.bench.attack_corpus import (
    a_leaving,
    b_lying,
    c_reading,
    d_forging,
    e_parent,
    f_exhausting,
    g_host,
    h_next,
    i_kernel,
    j_time,
    k_examiner,
    l_memory,
    m_frames,
    n_luck,
)
from codegym.bench.attack_corpus.attack import FAMILIES, MARK, Attack

ATTACKS: tuple[Attack, ...] = (
    *a_leaving.ATTACKS,
    *b_lying.ATTACKS,
    *c_reading.ATTACKS,
    *d_forging.ATTACKS,
    *e_parent.ATTACKS,
    *f_exhausting.ATTACKS,
    *g_host.ATTACKS,
    *h_next.ATTACKS,
    *i_kernel.ATTACKS,
    *j_time.ATTACKS,
    *k_examiner.ATTACKS,
    *l_memory.ATTACKS,
    *m_frames.ATTACKS,
    *n_luck.ATTACKS,
)

__all__ = ["ATTACKS", "FAMILIES", "MARK", "Attack"]
