{{/* The companion's configuration: that of envoy-config with the values. */}}

{{/* An address and port to listen on; of (list root port). */}}
{{- define "mvp.listen" -}}
{{- $address := (index . 0).Values.listenAddress -}}
{{- if contains ":" $address -}}
{{- printf "[%s]:%d" $address (index . 1) -}}
{{- else -}}
{{- printf "%s:%d" $address (index . 1) -}}
{{- end -}}
{{- end -}}

{{/* The folder of a control plane's files; of (list root name). */}}
{{- define "mvp.planeFiles" -}}
{{- if eq (index . 0).Values.form "pair" -}}
/etc/mixed-version-proxy/tls
{{- else -}}
/etc/mixed-version-proxy/{{ index . 1 }}
{{- end -}}
{{- end -}}

{{/* peers, peerTls and credentials; of (list root name plane). */}}
{{- define "mvp.planeConfig" -}}
{{- $root := index . 0 -}}
{{- $plane := index . 2 -}}
{{- $files := include "mvp.planeFiles" . -}}
{{- $peers := deepCopy $plane.peers -}}
{{- with $peers.endpointSlices -}}
{{- if not .namespace -}}
{{- $_ := set . "namespace" $root.Release.Namespace -}}
{{- end -}}
{{- if dig "kubeconfig" "name" "" $plane.secrets -}}
{{- $_ := set . "kubeconfigFile" (printf "%s/kubeconfig" $files) -}}
{{- end -}}
{{- end -}}
peers: {{- toYaml $peers | nindent 2 }}
peerTls:
  caFile: {{ $files }}/peer-ca.crt
  serverName: {{ default "kubernetes" $plane.serverName }}
credentials:
  {{- if dig "token" "name" "" $plane.secrets }}
  tokenFile: {{ $files }}/token
  {{- else }}
  clientCertificate:
    certificateFile: {{ $files }}/companion-client.crt
    keyFile: {{ $files }}/companion-client.key
  {{- end }}
{{- end -}}

{{/* The sources of a projected volume with the companion's files of a control plane; of
(list root folder plane). */}}
{{- define "mvp.planeSources" -}}
{{- $folder := index . 1 -}}
{{- $secrets := (index . 2).secrets -}}
- secret:
    name: {{ $secrets.peerCa.name }}
    items: [{ key: {{ default "ca.crt" $secrets.peerCa.key }}, path: {{ $folder }}/peer-ca.crt }]
{{- with $secrets.clientCa }}
{{- if .name }}
- secret:
    name: {{ .name }}
    items: [{ key: {{ default "ca.crt" .key }}, path: {{ $folder }}/client-ca.crt }]
{{- end }}
{{- end }}
{{- if dig "token" "name" "" $secrets }}
- secret:
    name: {{ $secrets.token.name }}
    items: [{ key: {{ default "token" $secrets.token.key }}, path: {{ $folder }}/token }]
{{- else }}
- secret:
    name: {{ $secrets.clientCertificate.name }}
    items:
      - { key: tls.crt, path: {{ $folder }}/companion-client.crt }
      - { key: tls.key, path: {{ $folder }}/companion-client.key }
{{- end }}
{{- with $secrets.kubeconfig }}
{{- if .name }}
- secret:
    name: {{ .name }}
    items: [{ key: {{ default "kubeconfig" .key }}, path: {{ $folder }}/kubeconfig }]
{{- end }}
{{- end }}
{{- end -}}

{{/* Whether the companion asks this cluster for a control plane's EndpointSlices, as "true"; of the
plane. */}}
{{- define "mvp.asksThisCluster" -}}
{{- with .peers.endpointSlices -}}
{{- if not (or (dig "kubeconfig" "name" "" $.secrets) .kubeconfigFile .throughPeers) -}}
true
{{- end -}}
{{- end -}}
{{- end -}}

{{/* The control planes, by name. */}}
{{- define "mvp.planes" -}}
{{- if eq .Values.form "pair" -}}
{{- dict "kube-apiserver" .Values.controlPlane | toYaml -}}
{{- else -}}
{{- toYaml .Values.controlPlanes -}}
{{- end -}}
{{- end -}}

{{/* The namespaces whose EndpointSlices the companion reads in this cluster. */}}
{{- define "mvp.sliceNamespaces" -}}
{{- $all := list -}}
{{- range $name, $plane := (include "mvp.planes" . | fromYaml) -}}
{{- if include "mvp.asksThisCluster" $plane -}}
{{- $all = append $all (default $.Release.Namespace $plane.peers.endpointSlices.namespace) -}}
{{- end -}}
{{- end -}}
{{- uniq $all | sortAlpha | join " " -}}
{{- end -}}

{{/* The main file. */}}
{{- define "mvp.companionConfig" -}}
{{- $own := dict "metricsListen" (include "mvp.listen" (list . 9906)) -}}
{{- if eq .Values.form "pair" -}}
{{- $config := .Files.Get "files/envoy-config/load-balancer/companion.yaml" | fromYaml -}}
{{- $config = merge (omit $config "peers" "peerTls" "credentials") (include "mvp.planeConfig" (list . "" .Values.controlPlane) | fromYaml) -}}
{{- if not (dig "clientCa" "name" "" .Values.controlPlane.secrets) -}}
{{- $_ := unset $config.listenerTls "clientCaFile" -}}
{{- end -}}
{{- if not (dig "frontProxy" "name" "" .Values.controlPlane.secrets) -}}
{{- $config = omit $config "frontProxy" -}}
{{- end -}}
{{- mergeOverwrite $config $own .Values.companion.config .Values.controlPlane.config | toYaml -}}
{{- else -}}
{{- $config := .Files.Get "files/envoy-config/shared-ingress/companion.yaml" | fromYaml -}}
{{- $names := list -}}
{{- range $group, $envoys := .Values.envoys -}}
{{- if $envoys -}}
{{- $name := default (printf "envoy-%s" $group) $envoys.clientName -}}
{{- if $envoys.controlPlanes -}}
{{- $names = append $names (dict "name" $name "controlPlanes" $envoys.controlPlanes) -}}
{{- else -}}
{{- $names = append $names $name -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- $ads := dict "ads" (dict "allowedClientNames" $names "maxClients" .Values.ads.maxClients) -}}
{{- mergeOverwrite $config $own $ads .Values.companion.config | toYaml -}}
{{- end -}}
{{- end -}}

{{/* The file of one of many control planes; of (list root name plane). */}}
{{- define "mvp.planeFile" -}}
{{- $plane := index . 2 -}}
{{- $config := include "mvp.planeConfig" . | fromYaml -}}
{{- $_ := set $config "serverNames" $plane.serverNames -}}
{{- if dig "clientCa" "name" "" $plane.secrets -}}
{{- $_ := set $config "clientCaFile" (printf "%s/client-ca.crt" (include "mvp.planeFiles" .)) -}}
{{- end -}}
{{- if dig "frontProxy" "name" "" $plane.secrets -}}
{{- $_ := set $config "frontProxySecret" (printf "/etc/mixed-version-proxy/sds/%s/front-proxy.yaml" (index . 1)) -}}
{{- end -}}
{{- mergeOverwrite $config (default dict $plane.config) | toYaml -}}
{{- end -}}
