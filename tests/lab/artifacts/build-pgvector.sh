#!/bin/sh
# In a throw-away Debian with PostgreSQL's headers: builds pgvector from Debian's source package, and an apt repository that
# holds the package, signed with a key that nobody has afterwards. build-pgvector.sh SUITE POSTGRESQL VERSION
set -eu
suite=$1 postgresql=$2 version=$3
export LC_ALL=C.UTF-8 DEBIAN_FRONTEND=noninteractive GNUPGHOME=/build/gnupg
mkdir -p /build/gnupg /build/source /build/package /out
chmod 700 /build/gnupg

# The user of apt's downloads cannot write here.
cd /build/source
apt-get -q -o APT::Sandbox::User=root source --only-source pgvector
cd pgvector-*/
[ "$(dpkg-parsechangelog --show-field Version | cut -d- -f1)" = "$version" ]
SOURCE_DATE_EPOCH=$(dpkg-parsechangelog --show-field Timestamp)
export SOURCE_DATE_EPOCH
make() { command make -s OPTFLAGS= with_llvm=no "PG_CONFIG=/usr/lib/postgresql/$postgresql/bin/pg_config" "$@"; }
make
make install DESTDIR=/build/package

name=postgresql-$postgresql-pgvector
mkdir -p /build/package/DEBIAN "/build/package/usr/share/doc/$name"
cp debian/copyright "/build/package/usr/share/doc/$name/"
cat > /build/package/DEBIAN/control <<CONTROL
Package: $name
Version: $version-1~lab1
Architecture: $(dpkg --print-architecture)
Maintainer: onprem.dify contributors <nobody@invalid>
Section: database
Priority: optional
Depends: postgresql-$postgresql, libc6
Description: Open-source vector similarity search for PostgreSQL
CONTROL

binary=dists/$suite/main/binary-$(dpkg --print-architecture)
mkdir -p "/out/pool" "/out/$binary"
dpkg-deb --root-owner-group --build /build/package /out/pool
cd /out
apt-ftparchive packages pool > "$binary/Packages"
apt-ftparchive -o "APT::FTPArchive::Release::Origin=onprem-lab" -o "APT::FTPArchive::Release::Codename=$suite" \
    -o "APT::FTPArchive::Release::Suite=$suite" -o APT::FTPArchive::Release::Components=main \
    -o "APT::FTPArchive::Release::Architectures=$(dpkg --print-architecture)" release "dists/$suite" > /build/Release
gpg --batch --quiet --passphrase '' --quick-gen-key "Packages of a lab" rsa3072 sign never
gpg --batch --quiet --armor --export > key.asc
gpg --batch --quiet --clearsign --output "dists/$suite/InRelease" /build/Release
cp /build/Release "dists/$suite/Release"
gpgconf --kill all
