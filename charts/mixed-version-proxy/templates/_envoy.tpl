{{/* Envoy's configuration: that of envoy-config, with what a pod needs in some places. */}}

{{/* A text in which each of some passages is replaced, which must be there; of
(list text (list (list passage replacement) …)). */}}
{{- define "mvp.edited" -}}
{{- $text := index . 0 -}}
{{- range index . 1 -}}
{{- if not (contains (index . 0) $text) -}}
{{- fail (printf "files/envoy-config has no %q: the files do not belong to this chart" (index . 0)) -}}
{{- end -}}
{{- $text = replace (index . 0) (index . 1) $text -}}
{{- end -}}
{{- $text -}}
{{- end -}}

{{/* What Envoy listens on. */}}
{{- define "mvp.address" -}}
{{- if contains ":" .Values.listenAddress -}}
address: "{{ .Values.listenAddress }}", ipv4_compat: true
{{- else -}}
address: {{ .Values.listenAddress }}
{{- end -}}
{{- end -}}

{{/* The edit of the listener for clients. */}}
{{- define "mvp.listenerEdit" -}}
- - 'address: "::", ipv4_compat: true, port_value: 6443'
  - '{{ include "mvp.address" . }}, port_value: 6443'
{{- end -}}

{{/* Envoy's statistics, and nothing else of its admin interface, for Prometheus. */}}
{{- define "mvp.adminCluster" -}}
    # Envoy's own statistics.
    - name: admin
      type: STATIC
      connect_timeout: 1s
      load_assignment:
        cluster_name: admin
        endpoints:
          - lb_endpoints:
              - endpoint: { address: { socket_address: { address: 127.0.0.1, port_value: 9901 } } }
{{ end -}}

{{- define "mvp.metricsListener" -}}
    # For Prometheus: nothing else of the admin interface can be reached.
    - name: metrics
      address:
        socket_address: { {{ include "mvp.address" . }}, port_value: 9907 }
      drain_type: MODIFY_ONLY
      ignore_global_conn_limit: true
      bypass_overload_manager: true
      filter_chains:
        - filters:
            - name: envoy.filters.network.http_connection_manager
              typed_config:
                "@type": type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager
                stat_prefix: metrics
                request_headers_timeout: 5s
                common_http_protocol_options: { idle_timeout: 60s }
                normalize_path: true
                http_filters:
                  - name: envoy.filters.http.router
                    typed_config:
                      "@type": type.googleapis.com/envoy.extensions.filters.http.router.v3.Router
                route_config:
                  name: metrics
                  virtual_hosts:
                    - name: metrics
                      domains: ["*"]
                      routes:
                        - match:
                            path: /stats/prometheus
                            headers: [{ name: ":method", string_match: { exact: GET } }]
                          route: { cluster: admin }
                        - match: { prefix: / }
                          direct_response: { status: 404 }
{{ end -}}

{{/* Replacements in both forms. */}}
{{- define "mvp.envoyEdits" -}}
- # The kubelet asks from outside of the pod.
  - "address: 127.0.0.1, port_value: 9903"
  - '{{ include "mvp.address" . }}, port_value: 9903'
- - "max_active_downstream_connections: 20000"
  - "max_active_downstream_connections: {{ .Values.envoy.maxConnections }}"
- - "    # 2 GiB.\n"
  - ""
- - "max_heap_size_bytes: 2147483648"
  - "max_heap_size_bytes: {{ mul .Values.envoy.maxHeapMiB 1048576 }}"
{{- end -}}

{{- define "mvp.pairEnvoyConfig" -}}
{{- $edits := concat (include "mvp.envoyEdits" . | fromYamlArray) (include "mvp.listenerEdit" . | fromYamlArray) -}}
{{- $start := "static_resources:\n  listeners:\n" -}}
{{- $new := printf "static_resources:\n  clusters:\n%s  listeners:\n%s" (include "mvp.adminCluster" .) (include "mvp.metricsListener" .) -}}
{{- $edits = append $edits (list $start $new) -}}
{{- include "mvp.edited" (list (.Files.Get "files/envoy-config/load-balancer/envoy.yaml") $edits) -}}
{{- end -}}

{{- define "mvp.listenerTemplate" -}}
{{- $file := .Files.Get "files/envoy-config/shared-ingress/listener.yaml" -}}
{{- include "mvp.edited" (list $file (include "mvp.listenerEdit" . | fromYamlArray)) -}}
{{- end -}}

{{/* Of (list root group). */}}
{{- define "mvp.fleetEnvoyConfig" -}}
{{- $root := index . 0 -}}
{{- $edits := include "mvp.envoyEdits" $root | fromYamlArray -}}
{{- $clusters := "static_resources:\n  clusters:\n" -}}
{{- $edits = append $edits (list $clusters (printf "%s%s" $clusters (include "mvp.adminCluster" $root))) -}}
{{- $listeners := "\n  listeners:\n" -}}
{{- $edits = append $edits (list $listeners (printf "%s%s" $listeners (include "mvp.metricsListener" $root))) -}}
{{- $endpoint := "              - endpoint: { address: { socket_address: { address: companion-%d.example.com, port_value: 9904 } } }\n" -}}
{{- $companions := printf "%s%s" (printf $endpoint 1) (printf $endpoint 2) -}}
{{- $service := printf "%s-companions.%s.svc" (include "mvp.fullname" $root) $root.Release.Namespace -}}
{{- $edits = append $edits (list $companions (printf "              - endpoint: { address: { socket_address: { address: %s, port_value: 9904 } } }\n" $service)) -}}
{{- with (index $root.Values.envoys (index . 1)).controlPlanes -}}
{{- $some := "  # metadata:\n  #   mixed-version-proxy: { controlPlanes: [blue, green] }\n" -}}
{{- $edits = append $edits (list $some (printf "  metadata:\n    mixed-version-proxy: { controlPlanes: %s }\n" (toJson .))) -}}
{{- end -}}
{{- include "mvp.edited" (list ($root.Files.Get "files/envoy-config/shared-ingress/envoy.yaml") $edits) -}}
{{- end -}}

{{/* Where an Envoy has the certificates of a control plane; of (list root file name). Each is the
root of a volume, because Envoy watches for renames in that folder. */}}
{{- define "mvp.planeSds" -}}
{{- $file := (index . 0).Files.Get (printf "files/envoy-config/shared-ingress/sds/example/%s" (index . 1)) -}}
{{- $folder := printf "/etc/mixed-version-proxy/certificates/%s" (index . 2) -}}
{{- include "mvp.edited" (list $file (list (list "/etc/mixed-version-proxy/tls/example" $folder))) -}}
{{- end -}}

{{- define "mvp.mirrorConfig" -}}
{{- $root := index . 0 -}}
{{- $config := $root.Files.Get "files/envoy-config/fleet/mirror.yaml" | fromYaml -}}
{{- $_ := set $config "node" (printf "%s-%s" (include "mvp.fullname" $root) (index . 1)) -}}
{{- $_ := set $config "metricsListen" (include "mvp.listen" (list $root 9908)) -}}
{{- $_ := set $config.companions "addresses" (list (printf "%s-companions.%s.svc:9904" (include "mvp.fullname" $root) $root.Release.Namespace)) -}}
{{- with (index $root.Values.envoys (index . 1)).controlPlanes -}}
{{- $_ := set $config "controlPlanes" . -}}
{{- end -}}
{{- toYaml $config -}}
{{- end -}}
