# SPDX-License-Identifier: BSD-2-Clause
"""Secrets out of text that people and records are going to see: one pure function over one table of patterns.

What looks like a secret's value becomes `***`, its name stays. In doubt it masks too much. No pattern may need more
than linear time: a repeat is bounded, or what follows it cannot fail.
"""

from __future__ import annotations

import re

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Callable, Match, Pattern, Union

    Replacement = Union[str, Callable[[Match[str]], str]]

MASK = "***"

# Words that make a name a secret's name; each begins with two plain letters.
_WORDS = (
    r"pass(?:w(?!d:(?:amd64|arm64|i386|all)\b)|phrase|code)",  # also misspelt, but not the Debian package passwd:amd64
    r"pass(?:(?<=[_.-]pass)(?![A-Za-z])|(?<!bypass)(?<!compass)(?=\\*[\"']?[ \t]*=|\\*[\"'][ \t]*:))",
    "pwd",
    "secret",
    "token(?!iz)",
    "credential",
    "authorization",
    "api[_.-]?key",
    "ac(?:cess|count)[_.-]?key",
    "private[_.-]?key",
    "signing[_.-]?key",
    "shared[_.-]?key",
    "encryption[_.-]?key",
    "master[_.-]?key",
    "비밀번호",
    "패스워드",
    "암호",
    "토큰",
)


def _any(words: tuple[str, ...]) -> str:
    """One of words in any case, written so that the search skips what does not begin with two of their letters."""
    first = "".join(sorted({case for word in words for case in (word[0].lower(), word[0].upper())}))
    return "[%s](?:%s)" % (
        first,
        "|".join(
            "[%s%s](?<=[%s%s].)(?i:%s)" % (word[1], word[1].upper(), word[0], word[0].upper(), word[2:])
            for word in words
        ),
    )


# The lookahead takes what follows at once and for good (3.8 has no possessive repeat).
_NAME = _any(_WORDS) + r"(?=(?P<tail>[\w.-]{0,60}))(?P=tail)"
_SIGN = r"[ \t]*(?::(?!:|//)=?|={1,2}>?)[ \t]*"
# A quoted value may go on in indented lines and hold its own quote doubled; what is glued to its closing quote
# belongs to it.
_QUOTED = (
    r"(?P<quote>\\{0,7}[\"'])(?:[^\\\"'\n]+|(?P=quote){2}|(?!(?<!\\)(?P=quote))[^\n]|\n+[ \t]+)*"
    r"(?:(?P=quote)(?:[^\s,;&:)\]}>]\S*)?)?"
)
# A separator ends a plain value only where another name follows it, a bracket only where nothing else does.
_PLAIN = (
    r"(?!\\*[\"']|\*{3}[\"'])(?:[^\s,;&)\]}>]+|[,;&](?![\"']?[\w.-]{1,64}[\"']?[=:]|\s|$)"
    r"|[)\]}>](?![)\]}>]{0,8}(?:\s|$|[,;&])))+"
)
_INSIDE = r"(?:[^\n\"'\[\]{}]+|\"(?:[^\"\\\n]|\\.)*\"|'[^'\n]*'|\n(?=[ \t\]}])"
_BRACKETS = r"[\[{]" + _INSIDE + r"|[\[{]" + _INSIDE + r")*[\]}])*(?:[\]}]|[^\n]*)"
_TOOLS = {"mongo": "p", "mysql": "p", "mariadb": "p", "redis-cli": "a", "sshpass": "p", "curl": "u"}


def _location(match: Match[str]) -> str:
    return "://".join(_without_password(part) for part in match.group().split("://"))


def _without_password(part: str) -> str:
    """What follows :// without its password, also where that holds raw / ? # or @; a port is no password."""
    if "@" not in part:
        return part
    authority = re.split("[/?#]", part, maxsplit=1)[0]
    if "@" in authority:
        login, host = authority.rsplit("@", 1)
        host += part[len(authority) :]
    else:
        login, host = part.rsplit("@", 1)
        after = authority.partition(":")[2]
        if not after or after.isdigit() or authority.startswith("["):
            return part
    user, colon, _password = login.partition(":")
    if colon:
        return "%s:%s@%s" % (user, MASK, host)
    return part if len(login) < 16 else "%s@%s" % (MASK, host)


def _basic(match: Match[str]) -> str:
    """Mask `Basic xyz` only where xyz is a login in base64: systemd has a "Basic System" too."""
    import binascii

    try:
        login = binascii.a2b_base64(match.group(2) + "==")
    except binascii.Error:
        return match.group()
    return match.group(1) + MASK if b":" in login else match.group()


def _value(match: Match[str]) -> str:
    name, quote, plain = match.group("name"), match.group("quote") or "", match.groupdict().get("plain")
    if plain and (name[:3] == "PWD" or ":" in name) and _harmless(match.string, match.start(), name, plain):
        return match.group()
    return name + quote + MASK + quote


def _harmless(text: str, start: int, name: str, plain: str) -> bool:
    """Whether name=plain is the working directory as sudo logs it, or name ends a path: `/etc/passwd: no such file`."""
    begin = max(0, start - 80)
    before = text[max(0, start - 4) : start]
    if name in ("PWD=", "PWD:") and plain[0] == "/":
        return not (before[-1:].isalpha() or before[-1:] == "_") or before.strip() == "OLD"
    slash = text.rfind("/", begin, start)
    return slash >= 0 and not re.search(r"[^\w.-]", text[slash + 1 : start])


def _short_flags(match: Match[str]) -> str:
    flag = _TOOLS[match.group(2)]
    pattern = r"(\s-%s[ =]?)(?:'[^']*'|\"[^\"]*\"|[^\s\"'-]\S*)" % flag
    return match.group(1) + re.sub(pattern, r"\g<1>" + MASK, match.group(3))


_TABLE: tuple[tuple[str, Replacement], ...] = (
    # private keys; the beginning, or the end, may be cut off
    (
        r"(-----BEGIN [A-Z0-9 ]{0,30}PRIVATE KEY(?: BLOCK)?-----)[\s\S]*?(-----END [A-Z0-9 ]{0,30}PRIVATE KEY|\Z)",
        r"\1" + MASK + r"\2",
    ),
    (r"\A[A-Za-z0-9+/=\s]*(-----END [A-Z0-9 ]{0,30}PRIVATE KEY)", MASK + r"\1"),
    (r"://[^\s\"'`]+", _location),
    # credentials that are known by their shape
    (r"(hooks\.slack(?:-gov)?\.com/)[^\s\"'<>]+", r"\1" + MASK),
    (r"(discord(?:app)?\.com/api/webhooks/)[^\s\"'<>]+", r"\1" + MASK),
    (r"eyJ(?<![\w-]eyJ)[\w-]+\.[\w-]+(?:\.[\w-]*)*", MASK),
    (r"\b(?:AKIA|ASIA)[A-Z0-9]{16}\b", MASK),
    (r"\b(?:gh[pousr]_|github_pat_|glpat-|xox[abeoprs]-|sk_live_|rk_live_|AIza|hvs\.)[\w-]{10,}", MASK),
    (r"([?&](?i:sig|signature|x-amz-signature)=)[^\s&\"'<>]+", r"\1" + MASK),
    (r"((?:Bearer|bearer|BEARER)[ \t]+)(?!(?i:token|auth|scheme|realm))[^\s\"',;]+", r"\1" + MASK),
    (r"((?:Basic|basic|BASIC)[ \t]+)([A-Za-z0-9+/]{4,}={0,2})", _basic),
    (
        r"([AaCc](?i:(?<=a)uthorization|(?<=c)ookie)[ \t]*:[ \t]*)(?!\\*[\"'])(?:(?i:digest|aws4)[^\n]*|[^\"'\n]+)",
        r"\1" + MASK,
    ),
    # a secret's name before its value: lines of YAML and INI with what is indented below, then lists, quoted and plain
    (
        r"(?m)^([ \t]*)((?:[-+][ \t]+)?[\"']?[\w.-]{0,80}?" + _NAME + r"[\"']?(?:[ \t]*:[ \t]+|[ \t]+=[ \t]+))"
        r"(?![\s\"'\[{])[^\n]+(?:(?:\n[ \t]*)*\n\1[ \t]+\S[^\n]*)*",
        r"\1\2" + MASK,
    ),
    (
        r"(?P<open>[\"'])(?=[\w.-]{1,140}=)([\w.-]{0,80}?" + _NAME + r"=)(?!\\*[\"'])(?:(?!(?P=open))[^\n])*(?P=open)",
        r"\g<open>\2" + MASK + r"\g<open>",
    ),
    (
        r"(?P<name>"
        + _NAME
        + r"\\*[\"']?"
        + _SIGN
        + ")(?:(?:"
        + _BRACKETS
        + r")(?:[^\s\"',;&:)\]}>]\S*)?|"
        + _QUOTED
        + "|(?P<plain>"
        + _PLAIN
        + "))",
        _value,
    ),
    (r"(<[\w:.-]{0,40}?" + _NAME + r">)[^<]+", r"\1" + MASK),
    # flags and statements
    (r"(?P<name>-(?<![\w-]-)-?[\w.-]{0,40}?" + _NAME + r"[ \t]+)(?:" + _QUOTED + r"|(?!--)\S+)", _value),
    (
        r"(?P<name>[PpIi](?i:(?<=p)assword|(?<=i)dentified[ \t]+(?:with[ \t]+\S{1,64}[ \t]+)?(?:by|as))[ \t]+)"
        + _QUOTED,
        _value,
    ),
    (r"([RrMm](?i:(?<=r)equirepass|(?<=m)asterauth)[ \t]+)\S+", r"\1" + MASK),
    (
        r"(\b(" + "|".join(_TOOLS) + r")(?:sh|dump|restore|export|import|stat|top|admin|check)?)([ \t][^\n]*)",
        _short_flags,
    ),
)
_COMPILED: tuple[tuple[Pattern[str], Replacement], ...] = tuple(
    (re.compile(pattern, re.ASCII), replacement) for pattern, replacement in _TABLE
)


def redact(text: str) -> str:
    """Text with every value that looks like a secret replaced by ***; names and ordinary text stay as they are."""
    for pattern, replacement in _COMPILED:
        text = pattern.sub(replacement, text)
    return text
