"""Every error of the package. The type of an error says who is at fault: the client (`Invalid`),
the app (`RegistrationError`, `PlanError`), the operator (`SettingsError`), Redis (`Unavailable`,
`EmbeddedEnded`). `Refused` is not a fault but a handler's answer."""

from __future__ import annotations

import re

_CODE = re.compile(r"[a-z0-9_]{1,64}")


class WssError(Exception):
    """The base of every error of this package."""


class Refused(WssError):
    """A handler or `authenticate` raises it to say no: nothing is applied.

    `code` (`[a-z0-9_]{1,64}`) is for the client's program, `message` for its user. Raises
    `ValueError` for another code, and for `unavailable`, which tells a client to send again.
    """

    def __init__(self, code: str, message: str = "") -> None:
        if _CODE.fullmatch(code) is None:
            raise ValueError(f"a Refused code is 1..64 of a-z, 0-9 and _, not {code!r:.80}")
        if code == "unavailable":
            raise ValueError("the code 'unavailable' is the server's own: the outcome is not known")
        super().__init__(code, message)
        self.code = code
        self.message = message

    def __str__(self) -> str:
        return f"{self.code}: {self.message}" if self.message else self.code


class Invalid(WssError):
    """A client sent wrong data. `path` says where, as in `data.items[2].n`."""

    def __init__(self, message: str, path: str = "") -> None:
        super().__init__(message, path)
        self.message = message
        self.path = path

    def __str__(self) -> str:
        return self.message


class RegistrationError(WssError):
    """A handler, template or annotation can never work. The node does not start."""


class PlanError(WssError):
    """The app's fault while an event is handled: effects that may not stand together, a value
    that is no JSON, a stored value of another shape. The client gets `internal`."""


class SettingsError(WssError):
    """A setting is wrong. The text is one sentence that names it and the cure. Exit code 2."""


class WrongSetting(SettingsError):
    """One setting has a wrong value. `setting` is its name in `Settings`; `complaint` is the rest
    of the sentence, since the command line has another name for the setting."""

    def __init__(self, setting: str, complaint: str) -> None:
        super().__init__(setting, complaint)
        self.setting = setting
        self.complaint = complaint

    def __str__(self) -> str:
        return f"{self.setting} {self.complaint}"


class Unavailable(WssError):
    """Redis did not answer. Whether the commit was applied is not known."""


class EmbeddedEnded(WssError):
    """The embedded Redis has ended by itself. The text is one sentence that says how. Exit code
    1."""


def shown(value: object) -> str:
    """A value as the text of an error shows it: at most 80 characters. Never raises."""
    try:
        text = repr(value)
    except ValueError:  # Python writes no integer of more than 4300 digits
        text = f"a {type(value).__name__} of too many digits"
    return text if len(text) <= 80 else text[:77] + "..."
