# shellcheck shell=bash
#
# Sourced, after lib.sh: makes layers of images. Equal files give equal bytes: order,
# times, owners and modes are fixed.

# layer FOLDER FILE: makes a layer of what is in a folder.
layer() {
    tar --create --directory "$1" --format=ustar --sort=name --mtime=@0 --owner=0 --group=0 \
        --numeric-owner --mode='u=rwX,go=rX' . | gzip --no-name >"$2"
}

# copy_libraries PROGRAM FOLDER: copies the libraries of this machine that a program loads.
copy_libraries() {
    ldd "$1" | grep -oE '/[^ ]+' | sort -u | xargs cp --parents --dereference --target-directory "$2"
}
