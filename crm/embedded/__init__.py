"""PostgreSQL and Valkey of our own, from wheels, for whoever has configured neither.

Owns one directory: programs, data, sockets, logs and passwords of both servers. They listen on
sockets only, run as an unprivileged user, and end with the block that started them; what a killed
run left behind is stopped by the next one, which then recovers as after a power cut.
"""

from crm.embedded.place import LOCK, EmbeddedRefused, default_directory
from crm.embedded.servers import Embedded, clear, embedded

__all__ = ["LOCK", "Embedded", "EmbeddedRefused", "clear", "default_directory", "embedded"]
