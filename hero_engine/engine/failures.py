"""What any error means to the person, and what to do about it."""

import errno

from hero_engine.errors import EngineError, HeroError


def explained(error: BaseException) -> HeroError:
    """The error as a message that is never empty; a HeroError with one is returned as it is."""
    if isinstance(error, HeroError) and str(error):
        return error
    if isinstance(error, OSError):
        where = f"{error.filename}: " if error.filename else ""
        todo = {
            errno.ENOSPC: "free some space",
            errno.EDQUOT: "free some space",
            errno.EROFS: "make the file system writable",
            errno.EACCES: "check the folder's owner and mode",
            errno.ENOENT: "was the run folder moved or removed?",
        }.get(error.errno or 0, "look into the disk")
        reason = error.strerror or str(error) or type(error).__name__
        return EngineError(f"{where}{reason}; {todo}, then continue the run")
    said = f"{type(error).__name__}: {error}".rstrip(": ")
    return EngineError(f"{said} (the engine log has the details)")
