"""Tucker decompositions: a small core multiplied by one factor in every mode, or in some of them.

Take ``STHOSVD`` first: its error is known exactly, and within sqrt(d) of the best for a tensor of order d. ``HOOI``
improves its result by sweeps, none of which increases the error. ``RandomizedSTHOSVD`` is faster where ranks are far
below the sizes of the modes; modes of less than six times rank plus oversampling it truncates without a sketch. Ranks
are given, or a relative error that every tensor of a stack keeps; ``with_rank`` lowers a rank to what the sizes admit.

Truncations, n the size of a mode, r its rank, N the number of entries:

``HOSVD``
    All modes at once; O(d n N). De Lathauwer, De Moor and Vandewalle 2000, Definition 2.
``STHOSVD``
    One mode after the other; O(n N) for the first, less for the others. Vannieuwenhoven, Vandebril and Meerbergen 2012.
``RandomizedHOSVD``
    Range finders on all unfoldings; O(d r N). Minster, Saibaba and Kilmer 2020, Algorithm 3.1.
``RandomizedSTHOSVD``
    Range finders, one mode after the other; O(r N). Minster, Saibaba and Kilmer 2020, Algorithm 3.2.
``HOOI``
    Sweeps that improve one basis at a time; O(r N) each. De Lathauwer, De Moor and Vandewalle 2000b.
``PartialTucker``
    Some modes only: Tucker-1, Tucker-2. Kolda and Bader 2009, Section 4.
``SharedFactors``
    One basis for all members of a stack, such as the heads of a layer or the layers of a model.
``BlockTerm``
    A sum of Tucker tensors, improved one after the other; O(terms r N) a sweep. De Lathauwer 2008.

Bases for a truncation of one's own:

``TuckerTruncation``
    One rank for each mode, and which ranks a core can have.
``RandomizedTruncation``
    The same with a range finder for each unfolding.

Results:

``OrthonormalTucker``
    Orthonormal factors, and the accuracy.
``TruncatedTucker``
    Of a truncation: what each mode discards, and with it the error.
``FittedTucker``
    Of an iteration: its errors, sweep by sweep.
``TruncatedPartialTucker``
    Of a truncation of some modes.
``SharedTucker``
    Of shared factors: the error of every member.
``FittedBlockTerms``
    Of a sum of terms.
"""

from tnattn.decomposition.tucker.block_term import BlockTerm, FittedBlockTerms
from tnattn.decomposition.tucker.hooi import HOOI, FittedTucker
from tnattn.decomposition.tucker.hosvd import HOSVD
from tnattn.decomposition.tucker.partial_tucker import PartialTucker, TruncatedPartialTucker
from tnattn.decomposition.tucker.randomized_tucker import RandomizedHOSVD, RandomizedSTHOSVD, RandomizedTruncation
from tnattn.decomposition.tucker.shared_factors import SharedFactors, SharedTucker
from tnattn.decomposition.tucker.st_hosvd import STHOSVD
from tnattn.decomposition.tucker.truncated_tucker import OrthonormalTucker, TruncatedTucker
from tnattn.decomposition.tucker.tucker_truncation import TuckerTruncation

__all__ = [
    "HOOI",
    "HOSVD",
    "STHOSVD",
    "BlockTerm",
    "FittedBlockTerms",
    "FittedTucker",
    "OrthonormalTucker",
    "PartialTucker",
    "RandomizedHOSVD",
    "RandomizedSTHOSVD",
    "RandomizedTruncation",
    "SharedFactors",
    "SharedTucker",
    "TruncatedPartialTucker",
    "TruncatedTucker",
    "TuckerTruncation",
]
