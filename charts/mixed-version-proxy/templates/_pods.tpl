{{/* What pods have in common. */}}

{{/* Fields of a pod; of (list root component). */}}
{{- define "mvp.pod" -}}
{{- $root := index . 0 -}}
serviceAccountName: {{ include "mvp.serviceAccount" $root }}
# Only the companion gets a token, and only if it needs one.
automountServiceAccountToken: false
enableServiceLinks: false
{{- with $root.Values.images.pullSecrets }}
imagePullSecrets:
  {{- range . }}
  - name: {{ . }}
  {{- end }}
{{- end }}
securityContext:
  runAsNonRoot: true
  # The same for all containers: only the owner can read files with keys.
  runAsUser: {{ $root.Values.user }}
  runAsGroup: {{ $root.Values.user }}
  fsGroup: {{ $root.Values.user }}
  fsGroupChangePolicy: OnRootMismatch
  seccompProfile: { type: RuntimeDefault }
{{- with $root.Values.priorityClassName }}
priorityClassName: {{ . }}
{{- end }}
{{- with $root.Values.nodeSelector }}
nodeSelector: {{- toYaml . | nindent 2 }}
{{- end }}
{{- with $root.Values.tolerations }}
tolerations: {{- toYaml . | nindent 2 }}
{{- end }}
{{- with $root.Values.affinity }}
affinity: {{- toYaml . | nindent 2 }}
{{- end }}
{{- with $root.Values.topologySpreadConstraints }}
topologySpreadConstraints:
  {{- range . }}
  - {{- toYaml . | nindent 4 }}
    labelSelector:
      matchLabels: {{- include "mvp.selector" $ | nindent 8 }}
  {{- end }}
{{- end }}
{{- end -}}

{{/* Labels and annotations of a pod; of (list root component annotations). */}}
{{- define "mvp.podMetadata" -}}
{{- $root := index . 0 -}}
labels:
  {{- include "mvp.selector" . | nindent 2 }}
  app.kubernetes.io/part-of: mixed-version-proxy
  {{- with $root.Values.podLabels }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
annotations:
  kubectl.kubernetes.io/default-container: {{ index . 2 }}
  {{- with index . 3 }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
  {{- with $root.Values.podAnnotations }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
{{- end -}}

{{- define "mvp.containerSecurity" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities: { drop: [ALL] }
{{- end -}}

{{/* How long a pod may take to end: what its hooks take, and some more. */}}
{{- define "mvp.drainSeconds" -}}
{{- with .Values.envoy.drain -}}
{{- add .noticeSeconds .drainSeconds .lingerSeconds -}}
{{- end -}}
{{- end -}}

{{/* The hook of what runs beside Envoy. Envoy's own image has no program for it. */}}
{{- define "mvp.drainHook" -}}
preStop:
  exec:
    command:
      - /usr/local/bin/mixed-version-companion
      - drain
      - --notice={{ .Values.envoy.drain.noticeSeconds }}s
      - --drain={{ .Values.envoy.drain.drainSeconds }}s
      - --linger={{ .Values.envoy.drain.lingerSeconds }}s
{{- end -}}

{{/* Envoy's container, without its volumes; of (list root configuration file). */}}
{{- define "mvp.envoy" -}}
{{- $root := index . 0 -}}
name: envoy
image: {{ include "mvp.image" (list $root "envoy") }}
imagePullPolicy: {{ $root.Values.images.pullPolicy }}
args:
  - --config-path
  - {{ index . 1 }}
  - --service-node
  - $(POD_NAME)
  - --concurrency
  - {{ $root.Values.envoy.concurrency | quote }}
  - --log-level
  - {{ $root.Values.envoy.logLevel }}
  - --disable-hot-restart
  - --drain-time-s
  - {{ $root.Values.envoy.drain.drainSeconds | quote }}
  - --drain-strategy
  - gradual
env:
  - name: POD_NAME
    valueFrom: { fieldRef: { fieldPath: metadata.name } }
ports:
  - { name: https, containerPort: 6443 }
  - { name: health, containerPort: 9903 }
  - { name: metrics, containerPort: 9907 }
# It can take long until there is a first map, and Envoy answers meanwhile.
readinessProbe:
  httpGet: { path: /healthz, port: health }
  periodSeconds: 5
  failureThreshold: 2
# Whether it answers at all: without a map, it must not be started again.
livenessProbe:
  tcpSocket: { port: health }
  initialDelaySeconds: 10
  periodSeconds: 10
  timeoutSeconds: 5
  failureThreshold: 6
lifecycle:
  # Until what runs beside it has drained it.
  preStop: { sleep: { seconds: {{ include "mvp.drainSeconds" $root }} } }
resources: {{- toYaml $root.Values.envoy.resources | nindent 2 }}
securityContext: {{- include "mvp.containerSecurity" $root | nindent 2 }}
{{- end -}}

{{/* The companion's container, without its volumes. */}}
{{- define "mvp.companion" -}}
name: companion
image: {{ include "mvp.image" (list . "companion") }}
imagePullPolicy: {{ .Values.images.pullPolicy }}
args: [run, --config, /etc/mixed-version-proxy/companion.yaml]
env:
  - { name: RUST_LOG, value: {{ .Values.companion.logLevel | quote }} }
livenessProbe:
  httpGet: { path: /healthz, port: 9906 }
  periodSeconds: 10
  timeoutSeconds: 5
  failureThreshold: 6
startupProbe:
  httpGet: { path: /healthz, port: 9906 }
  periodSeconds: 1
  failureThreshold: 60
resources: {{- toYaml .Values.companion.resources | nindent 2 }}
securityContext: {{- include "mvp.containerSecurity" . | nindent 2 }}
{{- end -}}

{{/* The companion's own account in this cluster, where kubelets mount it. */}}
{{- define "mvp.accountMount" -}}
- name: account
  mountPath: /var/run/secrets/kubernetes.io/serviceaccount
  readOnly: true
{{- end -}}

{{- define "mvp.accountVolume" -}}
- name: account
  projected:
    defaultMode: 0440
    sources:
      - serviceAccountToken: { path: token, expirationSeconds: 3607 }
      - configMap: { name: kube-root-ca.crt, items: [{ key: ca.crt, path: ca.crt }] }
      - downwardAPI: { items: [{ path: namespace, fieldRef: { fieldPath: metadata.namespace } }] }
{{- end -}}

{{/* The claims of a StatefulSet, or a volume that goes with the pod. */}}
{{- define "mvp.stateClaims" -}}
{{- if .Values.companion.persistence.enabled }}
volumeClaimTemplates:
  - metadata: { name: state }
    spec:
      accessModes: [ReadWriteOnce]
      {{- with .Values.companion.persistence.storageClassName }}
      storageClassName: {{ . | quote }}
      {{- end }}
      resources: { requests: { storage: {{ .Values.companion.persistence.size }} } }
{{- end }}
{{- end -}}
