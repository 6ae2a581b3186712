"""The undo of a whole import: whom it added, and nobody touched since, is not here any more."""
