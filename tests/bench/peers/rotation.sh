# SPDX-License-Identifier: GPL-3.0-or-later
# The same by hand: it looks at nothing before, and can take nothing back.
set -eu
chmod 0755 /var/log/logcaster
cat >/etc/logrotate.d/logcaster.new <<'CONF'
@CONF@
CONF
chmod 0644 /etc/logrotate.d/logcaster.new
logrotate -d /etc/logrotate.d/logcaster.new >/dev/null 2>&1
mv /etc/logrotate.d/logcaster.new /etc/logrotate.d/logcaster
logrotate -d /etc/logrotate.conf >/dev/null 2>&1
