# SPDX-License-Identifier: GPL-3.0-or-later
"""Secrets wherever a user has them, and a whole incident: none may come out anywhere, in any escape, at any moment.

Where the design keeps one, it is told here: a copy of the service's own configuration, for root only.
"""

from __future__ import annotations

import json
import os
import subprocess
import typing as t
from pathlib import Path

import yaml
from tests.support import lab
from tests.support.canary import Canaries, Names, Seen, Watch, fresh

HOST = "db2"  # reached as `ops`, sudo wants a password
PASSWORD = "lab-only-password"
CONFIG = "/etc/default/mongod"
STATE = "/var/lib/ops-runbook"
DROPIN = "/etc/systemd/system/mongod.service.d/canary.conf"
OF_THE_SERVICE = frozenset({"command", "unit", "file", "journal"})
"""What its own processes have: in their command line, by Environment= and EnvironmentFile=, in what they log."""
PLANT = """
set -e
mkdir -p $(dirname {dropin})
umask 077
cat > {dropin} <<'END'
[Service]
Environment="DB_PASSWORD={unit}"
EnvironmentFile=/etc/mongod.secrets
ExecStartPre=/usr/bin/systemd-cat -t mongod echo connecting, MONGO_PASSWORD={journal}
END
echo 'MONGO_INITDB_ROOT_PASSWORD={file}' > /etc/mongod.secrets
echo 'mongodb://admin:{login}@127.0.0.1/admin' > /etc/mongo-credentials
umask 022
cat > {config} <<'END'
# SPDX-License-Identifier: GPL-3.0-or-later
# the admin's password is {config_} until the rotation
MONGOD_BIND=127.0.0.1
MONGOD_PORT=27017
MONGOD_OPTS=--postgresql-url=postgres://app:{command}@127.0.0.1/none
END
systemctl daemon-reload
systemctl restart mongod
cat >> /var/log/mongodb/mongod.log <<'END'
login failed for root, password={log1}
connecting to mongodb://root:{log2}@db1.example/admin?authSource=admin
{{"t":"2026-01-05T02:00:07Z","msg":"auth","attr":{{"password":"{log3}","user":"root"}}}}
POST /api Authorization: Bearer {log4}
END
"""
BREAK = f"""
sed -i 's/^MONGOD_OPTS=/MONGOD_OPTS=--no-such-option /' {CONFIG}
systemctl restart mongod; systemctl is-failed mongod
"""
MEND = f"""
rm -rf $(dirname {DROPIN}) /etc/mongod.secrets /etc/mongo-credentials /etc/ops-runbook
systemctl daemon-reload
"""
SEARCHED = "/var/lib/ops-runbook /run/ops-runbook /tmp /var/tmp /root /home /dev/shm /run/log"


def plant(canaries: Canaries, folder: Path) -> dict[str, str]:
    """Put them where they are found at a user's: the environment that his commands then have."""
    names = {name.replace("config", "config_"): secret for name, secret in canaries.secrets.items()}
    done = lab.on(HOST, PLANT.format(dropin=DROPIN, config=CONFIG, **names))
    assert done.code == 0, done.text
    inventory = folder / "inventory"
    (inventory / "group_vars" / "all").mkdir(parents=True)
    (inventory / "hosts.yml").write_text(
        yaml.safe_dump({"mongodb": {"hosts": {HOST: {"app_database_password": canaries["inventory"]}}}})
    )
    content = f"MONGOD_BIND=127.0.0.1\nMONGOD_PORT=27017\nMONGOD_OPTS=\n# the key is {canaries['vault']}, for now\n"
    vault = inventory / "group_vars" / "all" / "vault.yml"
    vault.write_text(yaml.safe_dump({"mongodb_config_content": content, "app_token": canaries["vault"]}))
    (folder / "vault-password").write_text(canaries["key"])
    (folder / "vault-password").chmod(0o600)
    sealed = [lab.command("ansible-vault"), "encrypt", "--vault-password-file", str(folder / "vault-password")]
    done = lab.run([*sealed, str(vault)])
    assert done.code == 0, done.text
    (folder / "extra.yml").write_text(yaml.safe_dump({"backup_secret": f'x"{canaries["extra_file"]}/é'}))
    temp = folder / "tmp"
    temp.mkdir()
    return {
        "ANSIBLE_VAULT_PASSWORD_FILE": str(folder / "vault-password"),
        "CALLERS_PASSWORD": canaries["environment"],
        "OPS_RUNBOOK_RECORDS": str(folder / "records"),
        "XDG_STATE_HOME": str(folder / "records"),
        "TMPDIR": str(temp),
        "ANSIBLE_LOCAL_TEMP": str(temp / "ansible"),
    }


def go(argv: list[str], env: dict[str, str], said: list[str], typed: str | None = None) -> int:
    """Run a command of a user's, and keep all that it says."""
    environment = {**os.environ, "PATH": f"{Path(lab.command('x')).parent}:{os.environ['PATH']}", **env}
    environment.pop("OPS_RUNBOOK_RUN_ID", None)
    done = subprocess.run(
        argv, cwd=lab.ROOT, env=environment, capture_output=True, text=True, timeout=300, input=typed, check=False
    )
    said.append(done.stdout + done.stderr)
    return done.returncode


def incident(canaries: Canaries, folder: Path, env: dict[str, str]) -> str:
    """Diagnose, predict, cure and undo, as talkative as can be, by both commands; all that was said."""
    said: list[str] = []
    patient = ["-e", "mongodb_timeout=20"]  # the watch takes its share of the machine
    hosts = ["-i", lab.INVENTORY, "-i", str(folder / "inventory"), "--limit", HOST, *patient]
    given = ["-e", f"@{folder / 'extra.yml'}", "-e", f'smtp_password=y"{canaries["extra"]}\\z']
    plain = [lab.command("ansible-playbook"), "-vvv", "--diff", *hosts, "-e", f"@{folder / 'extra.yml'}"]
    looked = ["-e", "remediate_act=false", "-e", "mongodb_credentials_file=/etc/mongo-credentials"]
    runbook, loud = lab.command("runbook"), [*hosts, *given, "--verbose", "--format", "json"]
    assert go([*plain, "playbooks/baseline.yml"], env, said) == 0, said[-1][-2000:]
    assert "failed" in lab.on(HOST, BREAK).stdout
    assert go([*plain, *looked, "playbooks/recover_mongodb.yml"], env, said) in (3, 8), said[-1][-2000:]
    predicted = go([runbook, "run", "recover_mongodb", *loud, "--check", "-K"], env, said, PASSWORD + "\n")
    assert predicted == 3, said[-1][-2000:]
    assert go([runbook, "run", "recover_mongodb", *loud], env, said) == 0, said[-1][-2000:]
    run = json.loads(listed(env, said))[0]["run"]
    undo = [runbook, "undo", run, *hosts, "--approve", "undo", "--verbose", "--format", "json"]
    assert go(undo, env, said) == 0, said[-1][-2000:]
    assert "failed" in lab.on(HOST, BREAK).stdout
    ordinary = {**env, "ANSIBLE_PIPELINING": "0"}
    assert go([*plain, "playbooks/recover_mongodb.yml"], ordinary, said) == 0, said[-1][-2000:]
    assert go([*plain, str(settings(folder))], env, said) == 0, said[-1][-2000:]
    for more in (["history"], ["history", "last", "--format", "json"], ["history", run], ["undo", "--list"]):
        assert go([runbook, *more], env, said) == 0, said[-1]
    return "\n".join(said)


def listed(env: dict[str, str], said: list[str]) -> str:
    """What `runbook history` says."""
    assert go([lab.command("runbook"), "history", "--format", "json"], env, said) == 0
    return said[-1]


def settings(folder: Path) -> Path:
    """A playbook of the user's own that writes secrets out of the vault where a service finds them."""
    arguments = {"service": "mongod", "variables": {"LOG_LEVEL": "info"}, "secrets": {"APP_TOKEN": "{{ app_token }}"}}
    task = {"name": "Set it", "ops.runbook.service_environment": {**arguments, "restart": False}}
    file = {"path": "/etc/canary.key", "content": "{{ app_token }}\n", "mode": "0600"}
    write = {"name": "Write it", "ops.runbook.tuning_profile": {"profile": "canary", "files": [file]}}
    play = {"hosts": HOST, "gather_facts": False, "become": True, "tasks": [task, write]}
    (folder / "settings.yml").write_text(yaml.safe_dump([play]))
    return folder / "settings.yml"


def innocent(one: Seen) -> Names:
    """Of what was seen, what belongs there."""
    if one.where == "file":
        return one.names if one.private else frozenset()
    found: set[str] = set()
    if "mongod.service" in one.inside and not one.here:
        found |= OF_THE_SERVICE  # the service itself
    if one.here and one.where == "environ":
        found |= {"environment"}  # the caller's own environment
    typed = one.what.split(" ")
    if one.here and len(typed) > 1 and typed[1].endswith("/runbook"):
        found |= {"extra"}  # what the caller typed
    return one.names & found


def kept(canaries: Canaries, folder: Path) -> dict[str, Names]:
    """Files of the target that hold one: path -> which."""
    for name in ("searched", "etc"):
        (folder / name).mkdir()
    unpack = f"tar -C / -cf - --ignore-failed-read {SEARCHED} /etc/systemd/system /etc/ops-runbook 2>/dev/null"
    command = [*lab.AS_ROOT, "podman", "exec", f"{lab.NAME}-{HOST}", "sh", "-c", unpack]
    packed = subprocess.run(command, capture_output=True, check=False, timeout=120).stdout
    subprocess.run(["tar", "-C", str(folder / "searched"), "-xf", "-"], input=packed, check=True)
    found = canaries.below(folder / "searched")
    return {str(path.relative_to(folder / "searched")): names for path, names in found.items()}


def test_no_secret_comes_out(hosts: Path, tmp_path: Path, tell: t.Callable[[str], None]) -> None:
    names = ("inventory", "vault", "key", "environment", "unit", "file", "login", "config", "extra", "extra_file")
    names += ("command", "log1", "log2", "log3", "log4", "journal")
    canaries = Canaries(**{name: fresh(name.replace("_", "")) for name in names}, sudo=PASSWORD)
    since = lab.on(HOST, "date +%s").stdout.strip()
    env = plant(canaries, tmp_path)
    first = lab.run([*lab.AS_ROOT, "podman", "inspect", "--format", "{{.State.Pid}}", f"{lab.NAME}-{HOST}"]).stdout
    there = Path("/proc", first.strip(), "root")
    folders = [Path(env["TMPDIR"]), *(there / name for name in ("tmp", "var/tmp", "root", "home", "dev/shm"))]
    try:
        with Watch(canaries, folders) as watch:
            said = incident(canaries, tmp_path, env)
        looked_at(canaries, tmp_path, said, watch, since)
        tell(
            f"{len(canaries.secrets)} secrets, {len(said) // 1024} KiB of output, {watch.looks} looks at all processes"
        )
    finally:
        lab.on(HOST, MEND)
        lab.reset(HOST, records=hosts)


def looked_at(canaries: Canaries, folder: Path, said: str, watch: Watch, since: str) -> None:
    """Search everything."""
    assert canaries.within(said.encode()) == set()
    assert canaries.below(folder / "records") == {}
    assert list((folder / "records").glob("**/evidence/*/*/log-*")), (
        "evidence of the log was kept, so that this is a test"
    )
    assert "***" in "".join(path.read_text() for path in (folder / "records").glob("**/evidence/*/*/log-*"))
    assert canaries.below(folder / "tmp") == {}
    strange = [(one, one.names - innocent(one)) for one in watch.seen if one.names - innocent(one)]
    assert strange == []
    assert watch.looks > 50
    assert any(one.names & OF_THE_SERVICE for one in watch.seen), "the watch saw the service, so that it would see us"
    # What the service logged is its own; of a process that ended at once journald may not have seen the unit.
    others = 'grep -v -e \'"_SYSTEMD_UNIT":"mongod.service"\' -e \'"SYSLOG_IDENTIFIER":"mongod"\''
    journal = lab.on(HOST, f"journalctl --no-pager -o json --since @{since} | {others}")
    assert canaries.within(journal.stdout.encode()) == set()
    for path, names in kept(canaries, folder).items():
        stat = lab.on(HOST, f"stat -c '%a %U %G' /{path}").stdout.strip()
        if path.startswith((f"{STATE[1:]}/baseline/", f"{STATE[1:]}/undo/")):
            # the service's own configuration and definition, to be put back: what shows less would put back less
            assert names <= {"config", "command", "vault", "unit", "journal"}, path
        else:
            # systemd's unit as it was planted, and where service_environment keeps a service's secrets
            assert path == DROPIN[1:] or names == {"vault"}, (path, names)
        assert stat == "600 root root", (path, stat)
    closed = lab.on(HOST, f"stat -c %a {STATE} {STATE}/baseline {STATE}/undo").stdout.split()
    assert closed == ["700"] * 3
