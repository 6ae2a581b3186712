"""All customers of a business in one stream, for a program.

Owns no table. What a line holds is what the key may read; each line is a look at its customer that
was committed before it left (promise 11), and no transaction is open while the reader takes its
time.
"""

from crm.exports.model import Reading
from crm.exports.streaming import EveryCustomer, Look

__all__ = ["EveryCustomer", "Look", "Reading"]
