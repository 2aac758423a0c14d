require github.com/coredns/caddy v1.1.1
require github.com/coredns/corefile-migration v1.0.31
require k8s.io/system-validators v1.12.1
