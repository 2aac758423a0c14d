//! The TLS sections: key pairs, and the certificates of Envoy's listener.

use std::path::PathBuf;

use super::reader::{Faulty, Section};
use super::value::absolute;
use crate::certificates::KeyPairFiles;

/// A section that is a certificate and its key.
pub(super) fn key_pair(mut section: Section<'_>) -> Result<KeyPairFiles, Faulty> {
    let pair = pair(&mut section);
    section.finish();
    pair
}

/// The two fields of a certificate and its key.
pub(super) fn pair(section: &mut Section<'_>) -> Result<KeyPairFiles, Faulty> {
    let certificate_file = section.required("certificateFile", absolute);
    let key_file = section.required("keyFile", absolute);
    Ok(KeyPairFiles { certificate_file: certificate_file?, key_file: key_file? })
}

/// The pair, and the file with the authorities that verify clients.
pub(super) fn listener_tls(
    mut section: Section<'_>,
    has_front_proxy: bool,
) -> Result<(KeyPairFiles, Option<PathBuf>), Faulty> {
    let pair = pair(&mut section);
    let client_ca_file = section.optional("clientCaFile", absolute);
    if let Ok(Some(_)) = client_ca_file
        && !has_front_proxy
    {
        section.fault(
            "clientCaFile",
            "requires frontProxy, without which API servers cannot learn who the client is",
        );
    }
    section.finish();
    Ok((pair?, client_ca_file?))
}
