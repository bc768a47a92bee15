# SPDX-License-Identifier: BSD-2-Clause
"""MongoDB commands through mongosh or mongo, for servers with logins that are not SCRAM: X.509, LDAP, Kerberos.

The password never comes near us: the shell's script reads it from a file that only its owner may read. Command lines,
which every user of a host can see, carry that file's name.
"""

from __future__ import annotations

from ..bson import Milliseconds
from ..errors import CannotLook
from . import _credentials

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from ..host import Completed, Host

_MARK = "ops-runbook-replies "
# for both shells: mongosh throws what the server refuses, mongo returns it with ok 0
_SCRIPT = """\
var file = %(file)s, steps = %(steps)s, out = {}, server;
function plain(v) {
  if (v === null || v === undefined || typeof v !== "object") return v;
  if (Object.prototype.toString.call(v) === "[object Date]") return {"$date": v.getTime()};
  if (Array.isArray(v)) return v.map(plain);
  if (typeof v.toNumber === "function") return v.toNumber();
  if (v._bsontype || typeof v.str === "string") return String(v);
  var o = {};
  Object.keys(v).forEach(function (k) { o[k] = plain(v[k]); });
  return o;
}
function failed(e) { return {code: e.code || null, message: String(e.errmsg || e.message || e)}; }
try {
  var text = typeof cat === "function" ? cat(file) : require("fs").readFileSync(file, "utf8");
  server = connect(text.trim().split("\\n")[0]);
} catch (e) { out = failed(e); out.connection = true; }
if (server) steps.forEach(function (step) {
  var began = Date.now(), reply;
  try {
    reply = server.getSiblingDB(step[1]).runCommand(step[2]);
    reply = reply.ok ? {reply: plain(reply)} : failed(reply);
  } catch (e) { reply = failed(e); }
  reply.ms = Date.now() - began;
  out[step[0]] = reply;
});
print("%(mark)s" + JSON.stringify(out));
"""


def ask(host: Host, credentials: str, steps: list[Any], limit: float) -> dict[str, Any]:
    """Replies by step name, and that of "login"; without a login each step is {lost: login}."""
    lost = {step[0]: {"lost": "login"} for step in steps}
    try:
        _credentials.refuse_open(host, credentials)
        said = _said(_run(host, _script(credentials, steps), limit))
    except CannotLook as error:
        return dict(lost, login={"lost": "login", "message": str(error)})
    if said.get("connection"):
        return dict(lost, login={"code": said["code"], "message": said["message"]})
    return dict(said, login={"reply": {}})


def _script(credentials: str, steps: list[Any]) -> str:
    import json

    return _SCRIPT % {"file": json.dumps(credentials), "steps": json.dumps(steps), "mark": _MARK}


def _run(host: Host, script: str, limit: float) -> Completed:
    """Run the script in the shell that is there; without a home it leaves no history and no logs behind."""
    last = CannotLook("neither mongosh nor mongo is installed", hint="Install mongosh on the target.")
    for shell in ("mongosh", "mongo"):
        done = host.run(
            ["env", "HOME=/nonexistent", shell, "--nodb", "--norc", "--quiet", "--eval", script],
            timeout=max(0.1, limit),
        )
        if done.rc != 127:
            return done
    raise last


def _said(done: Completed) -> dict[str, Any]:
    import json

    for line in done.stdout.splitlines():
        if line.startswith(_MARK):
            return dict(json.loads(line[len(_MARK) :], object_hook=_date))
    words = (done.stderr.strip() or done.stdout.strip() or "exit code %d" % done.rc).splitlines()
    raise CannotLook("the client gave no answer: %s" % words[-1][:200])


def _date(found: dict[str, Any]) -> Any:
    return Milliseconds(found["$date"]) if list(found) == ["$date"] else found
