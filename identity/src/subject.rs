//! The user that a certificate's subject names.

use crate::der;
use crate::name::{self, Attribute, Value};
use crate::{Field, SubjectError};

/// Kubernetes' attribute type for the user's ID (k8s.io/apimachinery/pkg/apis/asn1).
const UID: &[u8] = b"1.3.6.1.4.1.57683.2";

/// A user whom headers can name. Every value is fit for a header: not empty,
/// without control characters, without a blank at either end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Subject {
    /// The last common name.
    pub(crate) user: String,
    /// The organizations, in the certificate's order.
    pub(crate) groups: Vec<String>,
    pub(crate) uid: Option<String>,
}

impl Subject {
    /// Reads a subject as Envoy gives it (`connection.subject_peer_certificate`).
    ///
    /// # Errors
    ///
    /// On a subject that names no user, that cannot be read with certainty, or
    /// whose values no header can carry.
    pub fn parse(text: &[u8]) -> Result<Self, SubjectError> {
        let attributes = name::attributes(text)?;
        // Envoy does not look whether all was printed. BoringSSL would stop
        // behind the `=` of a value that it cannot print.
        let may_be_cut_off =
            attributes.last().is_some_and(|last| last.value == Value::Text(Vec::new()));
        let mut user = String::new();
        let mut groups = Vec::new();
        let mut uid = None;
        // The text is in the reverse of the certificate's order.
        for attribute in attributes.into_iter().rev() {
            let Some((field, value)) = read(attribute)? else { continue };
            match field {
                Field::CommonName => user = value,
                Field::Organization => groups.push(value),
                Field::Uid if uid.is_some() => return Err(SubjectError::SeveralUids),
                Field::Uid => uid = Some(value),
            }
        }
        if user.is_empty() {
            return Err(SubjectError::NoCommonName);
        }
        carriable(Field::CommonName, &user)?;
        groups.iter().try_for_each(|group| carriable(Field::Organization, group))?;
        uid.iter().try_for_each(|uid| carriable(Field::Uid, uid))?;
        if may_be_cut_off {
            return Err(SubjectError::Unreadable);
        }
        Ok(Self { user, groups, uid })
    }
}

/// Reads an attribute; `None` for one that no API server reads. Those must be
/// sound as well, for Go refuses the certificate over any of them.
fn read(attribute: Attribute<'_>) -> Result<Option<(Field, String)>, SubjectError> {
    let field = match attribute.kind {
        b"CN" => Some(Field::CommonName),
        b"O" => Some(Field::Organization),
        UID => Some(Field::Uid),
        // Printed by something that calls them by their numbers, which may do
        // other things differently, too.
        b"2.5.4.3" | b"2.5.4.10" => return Err(SubjectError::Unreadable),
        _ => None,
    };
    let is_numbered = attribute.is_numbered();
    let value = match attribute.value {
        Value::Text(text) => String::from_utf8(text).map_err(|_| SubjectError::Unreadable)?,
        Value::Dump(der) if is_numbered => der::string(&der)?,
        // BoringSSL has a short name, and yet no text.
        Value::Dump(_) => return Err(SubjectError::NotText),
    };
    Ok(field.map(|field| (field, value)))
}

/// Whether a header can carry the value unchanged: Go trims blanks, and no
/// codec takes control characters.
fn carriable(field: Field, value: &str) -> Result<(), SubjectError> {
    if value.is_empty() {
        return Err(SubjectError::Empty(field));
    }
    if value.bytes().any(|byte| byte.is_ascii_control()) {
        return Err(SubjectError::ControlCharacter(field));
    }
    if value.starts_with(' ') || value.ends_with(' ') {
        return Err(SubjectError::OuterBlank(field));
    }
    Ok(())
}

#[cfg(test)]
mod tests;
