# shellcheck shell=bash
#
# Sourced, after lib.sh: makes images in OCI image layouts, without a container engine.
# Equal layers give equal bytes: images are dated like the commit.

oras="$("$checkout/tools/release-program" oras)"
version="$(sed -n 's/^version = "\(.*\)"$/\1/p' "$checkout/Cargo.toml" | head -n 1)"
: "${SOURCE_DATE_EPOCH:=$(git -C "$checkout" log -1 --format=%ct)}"
created="$(date -u -d "@$SOURCE_DATE_EPOCH" +%Y-%m-%dT%H:%M:%SZ)"
revision="$(git -C "$checkout" rev-parse HEAD)"

config_type=application/vnd.oci.image.config.v1+json
layer_type=application/vnd.oci.image.layer.v1.tar+gzip

# image LAYOUT TAG TITLE ARCHITECTURE PROCESS LAYER…: adds an image for Linux. PROCESS is
# the `config` of the image's configuration, as JSON. More annotations: $annotations.
image() {
    local layout=$1 tag=$2 title=$3 architecture=$4 process=$5 file ids='' files=()
    shift 5
    local folder
    folder="$(mktemp -d "$work/image-XXXXXX")"
    for file in "$@"; do
        ids+="${ids:+,}\"sha256:$(gzip --decompress --stdout "$file" | sha256sum | cut -c1-64)\""
        ln -s "$file" "$folder/$(basename "$file")"
        files+=("$(basename "$file"):$layer_type")
    done
    printf '{"created":"%s","architecture":"%s","os":"linux","config":%s,"rootfs":{"type":"layers","diff_ids":[%s]}}' \
        "$created" "$architecture" "$process" "$ids" >"$folder/config.json"
    (cd "$folder" && add "$layout" "$tag" "$title" --config "config.json:$config_type" "${files[@]}")
}

# add LAYOUT TAG TITLE ARGUMENT…: adds a manifest of files in the current folder.
add() {
    local layout=$1 tag=$2 title=$3
    shift 3
    "$oras" push --no-tty --oci-layout "$layout:$tag" "${annotations[@]}" \
        --annotation "org.opencontainers.image.created=$created" \
        --annotation "org.opencontainers.image.licenses=Apache-2.0" \
        --annotation "org.opencontainers.image.revision=$revision" \
        --annotation "org.opencontainers.image.title=$title" \
        --annotation "org.opencontainers.image.version=$version" \
        "$@" >/dev/null
}

# index LAYOUT TAG ARCHITECTURE…: makes the images TAG-ARCHITECTURE one of several platforms.
index() {
    local layout=$1 tag=$2
    shift 2
    "$oras" manifest index create --oci-layout "$layout:$tag" "${@/#/$tag-}" \
        --annotation "org.opencontainers.image.created=$created" \
        --annotation "org.opencontainers.image.revision=$revision" \
        --annotation "org.opencontainers.image.version=$version" >/dev/null
}

# finish LAYOUT TAG…: leaves these names only, in this order. oras writes them in any.
finish() {
    local layout=$1
    shift
    python3 - "$layout/index.json" "$@" <<'EOF'
import json, sys

path, *tags = sys.argv[1:]
with open(path) as file:
    index = json.load(file)
named = {entry["annotations"]["org.opencontainers.image.ref.name"]: entry for entry in index["manifests"]}
index["manifests"] = [named[tag] for tag in tags]
with open(path, "w") as file:
    json.dump(index, file)
EOF
    rmdir "$layout/ingest"
}

annotations=()
