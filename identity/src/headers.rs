//! The headers that tell kube-apiserver who the client is, as its
//! request-header authenticator reads them
//! (k8s.io/apiserver/pkg/authentication/request/headerrequest).

use discovery_map::IdentityHeaders;

use crate::{Field, Subject, SubjectError};

/// The extra `authentication.kubernetes.io/credential-id`, as client-go escapes
/// a key (transport, `headerKeyEscape`): a slash may not stand in a header's
/// name. The server reads the name in lower case before it unescapes it.
const CREDENTIAL_ID: &str = "authentication.kubernetes.io%2fcredential-id";

/// The hexadecimal digits of a SHA-256 digest.
const DIGEST_LENGTH: usize = 64;

impl Subject {
    /// The headers for this user, name (in lower case) and value. The digest is
    /// that of the certificate's DER (`connection.sha256_peer_certificate_digest`);
    /// kube-apiserver makes the credential's ID of it.
    ///
    /// The user ID and the extras are left out if the servers do not read them
    /// from headers.
    ///
    /// # Errors
    ///
    /// The digest cannot be read, or no header is configured for the name or the
    /// groups.
    pub fn headers(
        &self,
        certificate_sha256_hex: &[u8],
        names: &IdentityHeaders,
    ) -> Result<Vec<(String, String)>, SubjectError> {
        let credential = credential_id(certificate_sha256_hex)?;
        let mut headers = Vec::with_capacity(self.groups.len() + 3);

        let name = first(&names.username_headers, Field::CommonName)?;
        headers.push((name, self.user.clone()));
        for group in &self.groups {
            headers.push((first(&names.group_headers, Field::Organization)?, group.clone()));
        }
        if let (Some(name), Some(uid)) = (names.uid_headers.first(), &self.uid) {
            headers.push((name.to_ascii_lowercase(), uid.clone()));
        }
        if let Some(prefix) = names.extra_header_prefixes.first() {
            headers.push((format!("{}{CREDENTIAL_ID}", prefix.to_ascii_lowercase()), credential));
        }
        Ok(headers)
    }
}

/// The name that is sent.
fn first(names: &[String], field: Field) -> Result<String, SubjectError> {
    let name = names.first().ok_or(SubjectError::NoHeader(field))?;
    Ok(name.to_ascii_lowercase())
}

/// What kube-apiserver itself writes (`CommonNameUserConversion`), in lower case.
fn credential_id(digest: &[u8]) -> Result<String, SubjectError> {
    let is_digest = digest.len() == DIGEST_LENGTH && digest.iter().all(u8::is_ascii_hexdigit);
    let digest = str::from_utf8(digest).ok().filter(|_| is_digest).ok_or(SubjectError::Digest)?;
    Ok(format!("X509SHA256={}", digest.to_ascii_lowercase()))
}

#[cfg(test)]
mod tests;
