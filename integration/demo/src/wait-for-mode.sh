#!/bin/sh
# wait-for-mode MODE: waits until Envoy has a map with this mode, after the companion's
# configuration was changed. It needs the variables of target/demo/env.
set -eu
request=/api/v1/nodes
until
    generation=$(kubectl-skew --companion "$COMPANION" explain $request |
        awk -v mode="$1" '$1 == "Mode:" { found = index($2 ":", mode ":") == 1 } $1 == "Map:" && found { print $3 }')
    curl -s "$ADMIN/stats/prometheus" |
        grep -q "^mixed_version_proxy_map_generation{} ${generation:-none}\$"
do
    sleep 0.2
done
