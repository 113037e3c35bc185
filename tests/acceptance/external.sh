# The PostgreSQL and the Redis of a data centre that is not this project's business: TLS by an authority of their own, no hardening.
set -eu
echo "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] http://$MIRROR/debian bookworm main" > /etc/apt/sources.list
echo force-unsafe-io > /etc/dpkg/dpkg.cfg.d/lab
apt-get -qq update
DEBIAN_FRONTEND=noninteractive apt-get -qq -y install --no-install-recommends postgresql-15 redis-server > /dev/null

mkdir -p /srv/tls
cd /srv/tls
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 30 -subj "/CN=data centre" -keyout ca.key -out ca.crt
openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj "/CN=db1" -keyout tls.key -out tls.csr
printf "subjectAltName=IP:%s,DNS:postgres.corp.internal" "$ADDRESS" > names
openssl x509 -req -in tls.csr -CA ca.crt -CAkey ca.key -CAcreateserial -days 30 -extfile names -out tls.crt
for user in postgres redis; do
  install -d -o $user -g $user -m 0700 $user
  install -o $user -g $user -m 0600 tls.crt tls.key ca.crt $user
done

# pgvector stands for itself by its name: the check asks the catalogue only.
printf "default_version = '0.8.0'\ntrusted = true\n" > /usr/share/postgresql/15/extension/vector.control
: > /usr/share/postgresql/15/extension/vector--0.8.0.sql
cat > /etc/postgresql/15/main/conf.d/external.conf <<END
listen_addresses = '*'
ssl_cert_file = '/srv/tls/postgres/tls.crt'
ssl_key_file = '/srv/tls/postgres/tls.key'
ssl_min_protocol_version = TLSv1.3
max_connections = 400
fsync = off
END
echo "hostssl all all 0.0.0.0/0 scram-sha-256" >> /etc/postgresql/15/main/pg_hba.conf
systemctl restart postgresql@15-main
for name in dify dify_plugin dify_vector; do
  echo "CREATE USER $name PASSWORD '$PASSWORD-$name';"
  echo "CREATE DATABASE $name OWNER $name;"
done | runuser -u postgres -- psql -q

cat >> /etc/redis/redis.conf <<END
bind 0.0.0.0
port 0
tls-port 6379
tls-cert-file /srv/tls/redis/tls.crt
tls-key-file /srv/tls/redis/tls.key
tls-ca-cert-file /srv/tls/redis/ca.crt
tls-auth-clients no
tls-protocols TLSv1.3
unixsocket /run/redis/redis.sock
unixsocketperm 700
user default off
user admin on >$PASSWORD-admin ~* &* +@all
user dify on >$PASSWORD-redis ~* &* +@all -@admin -@dangerous +info +keys
END
systemctl restart redis-server
