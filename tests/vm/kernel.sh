#!/bin/sh
# Hook of mmdebstrap(1): puts Debian's kernel for virtual machines at /vmlinuz of the tree in $1. The package is
# unpacked and not installed, since its scripts would make an initramfs that nobody needs.
set -eu
export APT_CONFIG="$MMDEBSTRAP_APT_CONFIG"
package=$(apt-cache depends --important linux-image-cloud-amd64 |
    sed -n 's/^ *Depends: \(linux-image-[0-9][^ ]*\)$/\1/p')
mkdir "$1/kernel"
cd "$1/kernel"
apt-get download "$package"
dpkg-deb --fsys-tarfile ./*.deb | tar --extract --to-stdout --wildcards './boot/vmlinuz-*' >"$1/vmlinuz"
rm -r "$1/kernel"
