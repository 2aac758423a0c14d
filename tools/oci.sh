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

# attach_sbom LAYOUT FILE TAG…: attaches an SBOM to these images.
attach_sbom() {
    local layout=$1 file=$2 tag
    shift 2
    for tag in "$@"; do
        (cd "$(dirname "$file")" && "$oras" attach --no-tty --oci-layout "$layout:$tag" \
            --artifact-type application/vnd.cyclonedx+json \
            --annotation "org.opencontainers.image.created=$created" \
            "$(basename "$file"):application/vnd.cyclonedx+json" >/dev/null)
    done
    finish "$layout"
}

# finish LAYOUT: writes the index in one order; oras writes it in any.
finish() {
    python3 - "$1/index.json" <<'EOF'
import json, sys

with open(sys.argv[1]) as file:
    index = json.load(file)
index["manifests"].sort(key=lambda entry: (entry.get("annotations", {}).get("org.opencontainers.image.ref.name", ""), entry["digest"]))
with open(sys.argv[1], "w") as file:
    json.dump(index, file)
EOF
    rm -rf "$1/ingest"
}

# digests LAYOUT: prints TAG@DIGEST of what is for users: not the images of one platform,
# which are in an index.
digests() {
    python3 - "$1/index.json" "$version" <<'EOF'
import json, sys

path, version = sys.argv[1:]
with open(path) as file:
    for entry in json.load(file)["manifests"]:
        tag = entry.get("annotations", {}).get("org.opencontainers.image.ref.name")
        if tag in (version, f"{version}-artifact"):
            print(f"{tag}@{entry['digest']}")
EOF
}

annotations=()
