"""Would the sites fit: memory, item sizes, key lengths, permissions, file system events, settings.

Nothing is changed, on disk or in a store.
"""

from memfis.doctor.examination import Examination, examine
from memfis.doctor.findings import Finding

__all__ = ["Examination", "Finding", "examine"]
