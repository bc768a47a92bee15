# SPDX-License-Identifier: GPL-3.0-or-later
"""No secret survives in any context that we know, and ordinary text stays as it is."""

import base64
import json
import string
import time

import pytest
import yaml
from ansible_collections.ops.runbook.plugins.module_utils.redact import redact
from hypothesis import example, given, settings
from hypothesis import strategies as st

KEYS = (
    "password",
    "Password",
    "DB_PASSWORD",
    "spring.datasource.password",
    "passwd",
    "pwd",
    "MYSQL_PWD",
    "secret",
    "client_secret",
    "clientSecret",
    "token",
    "auth-token",
    "slack_token",
    "api_key",
    "apiKey",
    "API-KEY",
    "X-Api-Key",
    "secret_access_key",
    "SecretAccessKey",
    "private_key",
    "storagePassphrase",
    "db_pass",
    "credentials",
    "passwordHash",
    "passwrd",
    "비밀번호",
)
ODD = "!#$%^*()_+-.~@?[]{}|/:<"
WORD = string.ascii_letters + string.digits
CANARY = {
    "word": st.text(WORD, min_size=8, max_size=60).map(lambda text: "Zq" + text),
    "plain": st.text(WORD + ODD, min_size=8, max_size=60).map(lambda text: "Zq" + text + "qZ"),
    "spaced": st.text(WORD + ODD + " ,;&=", min_size=8, max_size=120).map(lambda text: "Zq" + text + "qZ"),
    "any": st.text(min_size=8, max_size=60).map(lambda text: "Zq" + text + "qZ"),
    "base64": st.binary(min_size=12, max_size=60).map(lambda raw: base64.b64encode(b"admin:" + raw).decode()),
    "jwt": st.binary(min_size=12, max_size=60).map(
        lambda raw: "eyJ" + ".".join([base64.urlsafe_b64encode(raw).decode().rstrip("=")] * 3)
    ),
    "pem": st.binary(min_size=60, max_size=200).map(lambda raw: base64.encodebytes(raw).decode()),
}
CONTEXTS = [
    # kind of secret, text with {k} the name and {s} the secret
    ("plain", "{k}={s}"),
    ("plain", "10:02 app[7]: connect user=bob {k}={s} host=db1"),
    ("plain", "retry {k}: {s}"),
    ("word", "opts ({k}={s}), user=bob"),
    ("word", "https://host/login?user=bob&{k}={s}&x=1"),
    ("word", 'GET "/login?{k}={s}" 200'),
    ("spaced", '{k}="{s}"'),
    ("spaced", "{k} = '{s}'"),
    ("spaced", "{k}: '{s}' # comment"),
    ("spaced", "  {k}: {s}"),
    ("spaced", "- {k}: {s}\n  user: bob"),
    ("spaced", "{k} = {s}"),
    ("spaced", "{k}: |\n  {s}\n\n  {s}\nuser: bob"),
    ("spaced", 'Env: ["PATH=/bin", "{k}={s}"]'),
    ("plain", "{k}: [{s}, {s}]".replace("{s}", '"{s}"')),
    ("word", 'x {k}: {{"name": "a", "nested": {{"b": "{s}"}}}} y'),
    ("plain", "sh -c 'run --{k} \"{s}\"'"),
    ("plain", "run --{k}={s} --verbose"),
    ("plain", "run --{k} {s} --verbose"),
    ("plain", "run -{k} {s}"),
    ("word", "<server><{k}>{s}</{k}></server>"),
    ("word", 'msg="login" attr={{\\"{k}\\":\\"{s}\\",\\"user\\":\\"bob\\"}}'),
]
FIXED = [
    ("word", "mongodb://user:{s}@db1:27017,db2:27017/admin"),
    ("plain", "mongodb://user:{s}@db1/admin"),
    ("word", "redis://:{s}@cache:6379/0"),
    ("word", "fetch https://{s}{s}@github.com/org/repo.git"),
    ("plain", "Authorization: Bearer {s}"),
    ("word", "curl -H 'Authorization: Bearer {s}' https://host/x"),
    ("word", '{{"Authorization": "token {s}"}}'),
    ("base64", "header Authorization: Basic {s} sent"),
    ("base64", "using Basic {s}"),
    ("plain", 'req Authorization: Digest username="bob", response="{s}"'),
    ("word", "sent Bearer {s}."),
    ("plain", "Set-Cookie: sid={s}; Path=/"),
    ("word", "ALTER ROLE app PASSWORD '{s}'"),
    ("word", "CREATE USER 'a'@'%' IDENTIFIED WITH mysql_native_password BY '{s}'"),
    ("word", "CONFIG SET requirepass {s}"),
    ("word", "COMMAND=/usr/bin/mongosh -u admin -p {s} --eval 1"),
    ("word", "mysqldump -uroot -p{s} db"),
    ("word", "redis-cli -h cache -a {s} ping"),
    ("word", "curl -u admin:{s} https://host"),
    ("word", "post https://hooks.slack.com/services/T000/B000/{s}"),
    ("word", "GET /blob?se=1&sig={s}&sp=r"),
    ("jwt", "got {s} from client"),
    ("pem", "-----BEGIN RSA PRIVATE KEY-----\n{s}-----END RSA PRIVATE KEY-----\nnext"),
    ("pem", "key:\n-----BEGIN PRIVATE KEY-----\n{s}"),
    ("pem", "{s}-----END PRIVATE KEY-----\nnext"),
]


def leaks(text: str, secret: str) -> bool:
    return any(line.strip() in redact(text) for line in secret.splitlines() if len(line.strip()) > 4)


@settings(max_examples=40, deadline=None)
@pytest.mark.parametrize(("kind", "context"), CONTEXTS)
@given(data=st.data(), key=st.sampled_from(KEYS))
def test_no_value_of_a_secret_name_survives(kind: str, context: str, data: st.DataObject, key: str) -> None:
    secret = data.draw(CANARY[kind])
    text = context.format(k=key, s=secret)
    assert not leaks(text, secret), (text, redact(text))
    assert key in redact(text)


@settings(max_examples=40, deadline=None)
@pytest.mark.parametrize(("kind", "context"), FIXED)
@given(data=st.data())
def test_no_credential_known_by_its_shape_survives(kind: str, context: str, data: st.DataObject) -> None:
    secret = data.draw(CANARY[kind])
    text = context.format(s=secret)
    assert not leaks(text, secret), (text, redact(text))


@settings(max_examples=200, deadline=None)
@given(secret=CANARY["any"], key=st.sampled_from(KEYS), depth=st.integers(0, 2), indent=st.sampled_from([None, 2]))
def test_json_however_often_quoted(secret: str, key: str, depth: int, indent: int | None) -> None:
    text, value = json.dumps({"user": "bob", key: secret, "id": 7}, indent=indent, ensure_ascii=False), secret
    for _ in range(depth):
        text = json.dumps({"msg": text}, ensure_ascii=False)
    for _ in range(depth + 1):
        value = json.dumps(value, ensure_ascii=False)[1:-1]
    assert value not in redact(text), (text, redact(text))
    assert "bob" in redact(text)


@settings(max_examples=200, deadline=None)
@given(secret=st.one_of(CANARY["spaced"], CANARY["any"]), key=st.sampled_from(KEYS))
@example(secret="Zq000000'\x85qZ", key="password")
@example(secret="Zq0000000\nqZ", key="password")
def test_yaml_as_it_is_dumped(secret: str, key: str) -> None:
    text = yaml.safe_dump({"db": {"user": "bob", key: secret}, "list": [{key: secret}]}, allow_unicode=True)
    masked = redact(text)
    assert "Zq" not in masked
    assert "qZ" not in masked, (text, masked)
    assert "bob" in masked


@pytest.mark.parametrize("kind", ["AKIA", "ASIA"])
def test_aws_key_ids(kind: str) -> None:
    assert redact(f"id {kind}IOSFODNN7EXAMPLE used") == "id *** used"


@pytest.mark.parametrize("token", ["ghp_" + "a1" * 18, "glpat-" + "a1" * 10, "xoxb-1234567890-abcdef"])
def test_tokens_of_providers(token: str) -> None:
    assert redact(f"push with {token} failed") == "push with *** failed"


@pytest.mark.parametrize(
    "text,masked",
    [
        ("mongodb://bob:pw@db1:27017/x?a=b", "mongodb://bob:***@db1:27017/x?a=b"),
        ("mongodb://bob:p/w?@db1/x", "mongodb://bob:***@db1/x"),
        ('{"password":"x","user":"bob"}', '{"password":"***","user":"bob"}'),
        ('{"pin_token":12345}, next', '{"pin_token":***}, next'),
        ("a?token=x&user=bob b", "a?token=***&user=bob b"),
        ("password: x y\nuser: bob", "password: ***\nuser: bob"),
        ("tool --password x --user bob", "tool --password *** --user bob"),
        ("tool --password --user bob", "tool --password --user bob"),
        ("Authorization: Bearer x.y", "Authorization: ***"),
        ("PWD=hunter2", "PWD=***"),
        ("MYSQL_PWD=/x", "MYSQL_PWD=***"),
        ("/etc/app/password=x", "/etc/app/password=***"),
        ("curl -H 'Authorization: Bearer x' https://h", "curl -H 'Authorization: ***' https://h"),
        ("password = 'it''s'", "password = '***'"),
    ],
)
def test_what_stays_beside_a_secret(text: str, masked: str) -> None:
    assert redact(text) == masked


ORDINARY = """\
Jan 05 02:00:07 db1 systemd[1]: mongod.service: Main process exited, code=killed, status=9/KILL
Jan 05 02:00:07 db1 systemd[1]: Reached target basic.target - Basic System.
Jan 05 02:00:08 db1 sshd[9]: Failed password for invalid user admin from 10.0.0.9 port 50412 ssh2
Jan 05 02:00:08 db1 sshd[9]: pam_unix(sshd:auth): authentication failure; logname= uid=0 tty=ssh ruser= rhost=db2
Jan 05 02:00:09 db1 sudo[11]: ops : TTY=pts/0 ; PWD=/home/ops ; USER=root ; COMMAND=/usr/bin/systemctl status mongod
Jan 05 02:00:09 db1 mongod[77]: {"t":{"$date":"2026-01-05T02:00:07Z"},"s":"I","msg":"accepted","attr":{"n":"::1:5"}}
cat: /etc/passwd: Permission denied
/run/secrets/db-token: no such file or directory
2026-11-20 15:29:07 configure passwd:amd64 1:4.13+dfsg1-1+deb12u2 <none>
[2026-01-05T02:00:07,001][INFO ][o.o.n.Node] [db1] analyzer [nori] tokenizer: nori_tokenizer, bypass=true
com.example.Token::parse failed at OAuth::Token::Error
GET http://10.0.0.1:9200/_cat/indices?v&h=health,status 200 https://example.org/@scope/pkg ssh://git@host/repo
http://[::1]:8080/@x http://host:8080/a@b jdbc:postgresql://db:5432/app?user=app postgres://app@db/app
unit=user@1000.service mail to ops@example.org, ratio=0.5; used_percent: 85, next
WWW-Authenticate: Bearer realm="x", Basic QUJDREVGRw== Basic Setup
- name: Bearer token expired, the secret "mongodb-creds" was not found
"""


def test_ordinary_lines_stay_as_they_are() -> None:
    for line in ORDINARY.splitlines():
        assert redact(line) == line
    assert redact(ORDINARY) == ORDINARY


HINTS = ("passw", "token", "secret", "pwd", "bearer", "basic")
WORDS = st.sampled_from(
    [word for word in ORDINARY.split() if not any(hint in word.lower() for hint in HINTS)]
    + ["사용자", "로그", "85%", "/var/lib/mongodb", "->", "a=b", "x: y", "{", '"', "\\", "'", "#"]
)


@settings(max_examples=300, deadline=None)
@given(st.lists(WORDS, max_size=60), st.sampled_from([" ", "\n", "\t"]))
def test_text_without_a_hint_of_a_secret_is_unchanged(words: list[str], between: str) -> None:
    text = between.join(words)
    assert redact(text) == text


@settings(max_examples=300, deadline=None)
@given(
    st.lists(
        st.sampled_from(
            [
                "password",
                "=",
                ":",
                " ",
                '"',
                "'",
                "\\",
                "\n",
                "x",
                ",",
                "--token",
                "Bearer ",
                "://",
                "@",
                "{",
                "]",
                "/",
                "|",
                "PWD=",
            ]
        ),
        max_size=40,
    ).map("".join)
)
@example('password="a\\"b" c')
@example("PWD={]password")
def test_masking_twice_is_masking_once(text: str) -> None:
    once = redact(text)
    assert redact(once) == once


HOSTILE = [
    "a",
    "password",
    "password=",
    "password: x\n",
    "'password=\"",
    "secret:{",
    "secret:{{",
    "://",
    "://a:b@",
    "://a:x",
    "eyJ.",
    "-eyJ-",
    "-----BEGIN PRIVATE KEY-----",
    "--token ",
    "password=,a",
    "password=)",
    ")",
    " \n",
    "<password>",
    "  password: |\n\n",
    "mongo -p ",
    "\\",
    'password=\\"\\\\',
    "basic QUJD ",
    "authorization: ",
    "-password",
    '"password=',
    "PWD=/x ",
    ORDINARY,
]


@pytest.mark.parametrize("unit", HOSTILE, ids=repr)
def test_time_grows_with_the_size_only(unit: str) -> None:
    text = unit * (1_000_000 // len(unit))
    started = time.process_time()
    redact(text)
    assert time.process_time() - started < 2.0  # measured: below 0.4 s; a quadratic pattern takes minutes


def test_ten_megabytes_of_log_take_less_than_two_seconds() -> None:
    text = ORDINARY * (10_000_000 // len(ORDINARY))
    started = time.process_time()
    redact(text)
    assert time.process_time() - started < 2.0
