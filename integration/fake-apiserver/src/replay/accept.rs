//! Content negotiation as in kube-apiserver: the first supported form of the
//! `Accept` header.

/// A form of objects and of errors.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    Json,
    Yaml,
    Protobuf,
}

/// A form of `/api` and `/apis`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum DiscoveryForm {
    /// All groups, versions and resources in one document.
    Aggregated,
    /// The versions of `/api`, the groups of `/apis`.
    Legacy,
}

/// Returns the form of an error. `None`: none of the accepted ones is supported.
pub(super) fn form(accept: &str) -> Option<Form> {
    clauses(accept).into_iter().find_map(|clause| clause.form())
}

/// Returns the form of a discovery root. `None`: none of the accepted ones is supported.
pub(super) fn discovery_form(accept: &str) -> Option<DiscoveryForm> {
    clauses(accept).into_iter().find_map(|clause| {
        if clause.form() != Some(Form::Json) {
            return None;
        }
        match (clause.parameter("as"), clause.parameter("g"), clause.parameter("v")) {
            (None, ..) => Some(DiscoveryForm::Legacy),
            (Some("APIGroupDiscoveryList"), Some("apidiscovery.k8s.io"), Some("v2")) => {
                Some(DiscoveryForm::Aggregated)
            }
            _ => None,
        }
    })
}

struct Clause<'a> {
    media_type: &'a str,
    parameters: Vec<(&'a str, &'a str)>,
}

impl Clause<'_> {
    fn form(&self) -> Option<Form> {
        match self.media_type {
            "application/json" | "application/*" | "*/*" | "" => Some(Form::Json),
            "application/yaml" => Some(Form::Yaml),
            "application/vnd.kubernetes.protobuf" => Some(Form::Protobuf),
            _ => None,
        }
    }

    fn parameter(&self, name: &str) -> Option<&str> {
        self.parameters.iter().find(|(key, _)| *key == name).map(|(_, value)| *value)
    }
}

/// Returns the clauses in order of preference; those of equal quality as written.
fn clauses(accept: &str) -> Vec<Clause<'_>> {
    let mut clauses: Vec<(f32, Clause<'_>)> = accept
        .split(',')
        .map(|clause| {
            let mut parts = clause.split(';').map(str::trim);
            let media_type = parts.next().unwrap_or_default();
            let parameters: Vec<_> = parts.filter_map(|part| part.split_once('=')).collect();
            let clause = Clause { media_type, parameters };
            let quality = clause.parameter("q").and_then(|q| q.parse().ok()).unwrap_or(1.0);
            (quality, clause)
        })
        .collect();
    clauses.sort_by(|(a, _), (b, _)| b.total_cmp(a));
    clauses.into_iter().map(|(_, clause)| clause).collect()
}

#[cfg(test)]
mod tests {
    use super::{DiscoveryForm, Form, discovery_form, form};

    #[test]
    fn a_request_without_accept_gets_json() {
        assert_eq!(form(""), Some(Form::Json));
        assert_eq!(discovery_form(""), Some(DiscoveryForm::Legacy));
    }

    #[test]
    fn quality_comes_before_order() {
        assert_eq!(form("application/json;q=0.5, application/yaml"), Some(Form::Yaml));
    }

    #[test]
    fn an_unknown_aggregated_form_is_skipped() {
        let beta = "application/json;g=apidiscovery.k8s.io;v=v2beta1;as=APIGroupDiscoveryList";
        assert_eq!(discovery_form(beta), None);
        assert_eq!(
            discovery_form(&format!("{beta},application/json")),
            Some(DiscoveryForm::Legacy)
        );
    }
}
