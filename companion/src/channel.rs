//! What the tasks do with the channels between them.

use tokio::sync::watch;

/// Sends a value if it differs from the last one.
pub fn send_changed<T: Clone + PartialEq>(sender: &watch::Sender<T>, next: &T) {
    sender.send_if_modified(|last| {
        let changed = last != next;
        last.clone_from(next);
        changed
    });
}
