# SPDX-License-Identifier: GPL-3.0-or-later
"""What OpenSSH would do for a host, as `ssh -G` says it: it reads ssh_config, -o options, aliases and Match blocks.

What of it this library's own client (paramiko) does not do is named, never passed over.
"""

from __future__ import annotations

import itertools
import re
import shlex
import subprocess
from functools import lru_cache
from typing import Any

from runbook_cli.answer import CliError

Settings = dict[str, list[str]]
"""Option in lower case -> its values, in order."""

# fmt: off
HONOURED = {
    "connecttimeout", "globalknownhostsfile", "host", "hostkeyalias", "hostname", "identitiesonly", "identityfile",
    "kbdinteractiveauthentication", "passwordauthentication", "port", "preferredauthentications", "proxycommand",
    "proxyjump", "pubkeyauthentication", "stricthostkeychecking", "user", "userknownhostsfile",
}
IDLE = {
    "addkeystoagent", "batchmode", "canonicaldomains", "canonicalizefallbacklocal", "canonicalizehostname",
    "canonicalizemaxdots", "canonicalizepermittedcnames", "checkhostip", "ciphers", "clearallforwardings",
    "compression", "connectionattempts", "controlmaster", "controlpath", "controlpersist",
    "enableescapecommandline", "escapechar", "exitonforwardfailure", "fingerprinthash", "forkafterauthentication",
    "forwardagent", "forwardx11", "forwardx11timeout", "forwardx11trusted", "gatewayports", "gssapiauthentication",
    "gssapidelegatecredentials", "gssapikexalgorithms", "gssapikeyexchange", "gssapirenewalforcesrekey",
    "gssapitrustdns", "hashknownhosts", "hostbasedauthentication", "ipqos", "kexalgorithms", "localcommand",
    "loglevel", "logverbose", "macs", "numberofpasswordprompts", "obscurekeystroketiming", "permitlocalcommand",
    "permitremoteopen", "rekeylimit", "requesttty", "sendenv", "serveralivecountmax", "serveraliveinterval",
    "sessiontype", "setenv", "stdinnull", "streamlocalbindmask", "streamlocalbindunlink", "syslogfacility", "tag",
    "tcpkeepalive", "updatehostkeys", "visualhostkey", "xauthlocation",
}
# fmt: on
"""What changes nothing about whether one gets in, for a single short session of a client that negotiates by itself."""


def settings(connection: dict[str, Any]) -> Settings:
    """OpenSSH's settings for a host, with the inventory's own arguments, user, port and key as Ansible passes them.

    Raises:
        CliError: ssh is not there, or refuses the arguments; `what` is what it said.
    """
    return parse(_dump(tuple(command(connection, "-G"))))


def command(connection: dict[str, Any], *more: str) -> list[str]:
    """The ssh command line that Ansible would use for a host, without what only concerns its shared connection."""
    words = [str(connection.get("executable") or "ssh"), *more, *_arguments(str(connection["arguments"]))]
    words += ["-o", "StrictHostKeyChecking=no"] if connection["checks_host_key"] is False else []
    words += ["-p", str(connection["port"])] if connection["port"] else []
    words += ["-o", f"IdentityFile={connection['key']}"] if connection["key"] else []
    words += ["-l", str(connection["user"])] if connection["user"] else []
    return [*words, str(connection["address"])]


def _arguments(text: str) -> list[str]:
    """Without the shared connection's options, which say nothing to a person."""
    words, kept = shlex.split(text), list[str]()
    while words:
        word = words.pop(0)
        pair = [word, words.pop(0)] if word == "-o" and words else [word]
        if not re.match(r"(-o ?)?Control(Master|Persist|Path)\b", pair[-1], re.IGNORECASE):
            kept += pair
    return kept


@lru_cache(maxsize=4096)
def _dump(words: tuple[str, ...]) -> str:
    try:
        done = subprocess.run(words, capture_output=True, text=True, timeout=10, stdin=subprocess.DEVNULL, check=False)
    except FileNotFoundError:
        raise CliError("is not installed, and Ansible needs it", words[0], "apt-get install openssh-client") from None
    except subprocess.TimeoutExpired:
        raise CliError("does not say its settings within 10 s", shlex.join(words), shlex.join(words)) from None
    if done.returncode:
        raise CliError(" ".join(done.stderr.split()) or "ssh refuses its arguments", "ssh", shlex.join(words))
    return done.stdout


def parse(text: str) -> Settings:
    """The answer of `ssh -G`."""
    found: Settings = {}
    for line in text.splitlines():
        name, _blank, value = line.partition(" ")
        found.setdefault(name.lower(), []).append(value)
    return found


def not_honoured(chosen: Settings) -> list[str]:
    """Options that differ from OpenSSH's own defaults and that paramiko does not follow, as `Name value`."""
    default = parse(_dump(("ssh", "-F", "/dev/null", "-G", "localhost")))
    return [
        f"{name} {value}"
        for name, values in chosen.items()
        if name not in HONOURED | IDLE and values != default.get(name)
        for value in values
        if (name, value) != ("identityagent", "none")
    ]


def proxy(chosen: Settings, connection: dict[str, Any], timeout: float) -> list[str] | None:
    """The command through which OpenSSH would reach the host: ProxyCommand, or ssh -W for ProxyJump; None for neither.

    As OpenSSH itself does it: options of the command line other than -F do not reach a jump host.
    """
    if given := first(chosen, "proxycommand"):
        return ["/bin/sh", "-c", f"exec {_expand(given, chosen)}"]
    if not (jumps := first(chosen, "proxyjump")):
        return None
    *before, last = jumps.split(",")
    words = [
        str(connection.get("executable") or "ssh"),
        "-o",
        "BatchMode=yes",
        "-o",
        f"ConnectTimeout={int(timeout) or 1}",
    ]
    words += ["-F", config] if (config := _config_file(str(connection["arguments"]))) else []
    words += ["-J", ",".join(before)] if before else []
    host = first(chosen, "hostname") or str(connection["address"])
    target = f"[{host}]:{first(chosen, 'port') or 22}"
    return [*words, "-W", target, last if last.startswith("ssh://") else f"ssh://{last}"]


def _config_file(arguments: str) -> str | None:
    words = shlex.split(arguments)
    after = dict(itertools.pairwise(words))
    glued = [word[2:] for word in words if word.startswith("-F") and len(word) > 2]
    return after.get("-F") or next(iter(glued), None)


def _expand(text: str, chosen: Settings) -> str:
    told = {"h": "hostname", "p": "port", "r": "user", "n": "host"}
    return re.sub(r"%([hprn%])", lambda found: first(chosen, told[found[1]]) if found[1] in told else "%", text)


def first(chosen: Settings, name: str) -> str:
    """The first value of an option; empty where it has none or says `none`."""
    value = (chosen.get(name) or [""])[0]
    return "" if value == "none" else value
