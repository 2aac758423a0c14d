//! Who is let in, who stays, and who is sent away.

use super::*;
use crate::ads::client::tests::{Authority, settings};

type Settings = watch::Sender<Arc<AdsSettings>>;

/// Returns who may have a stream with these settings, and what changes them.
fn names(settings: AdsSettings) -> (Settings, Access) {
    let (sender, settings) = watch::channel(Arc::new(settings));
    (sender, Access::Names { settings, started: Instant::now() })
}

/// Returns a mirror that stands like this with companions, and what changes that.
fn socket(following: Following) -> (watch::Sender<Following>, Access) {
    let (sender, following) = watch::channel(following);
    (sender, Access::Socket(Socket::new(following, Selection::All)))
}

#[tokio::test(start_paused = true)]
async fn a_mirror_ends_streams_when_it_follows_a_companion_again() {
    let (sender, access) = socket(Following::default());
    let start = Instant::now();
    let end = |access: &Access| access.clone().end(Client::default());
    let (ended, ()) = tokio::join!(end(&access), async {
        sleep(Duration::from_secs(5)).await;
        sender.send_modify(|following| following.companion = true);
    });
    assert!(ended.is_ok());
    assert_eq!(start.elapsed(), Duration::from_secs(5));
    assert!(end(&access).await.is_ok());
    assert_eq!(start.elapsed(), Duration::from_secs(5) + FOLLOWING);
    sender.send_replace(Following::default());
    assert!(end(&access).await.is_ok());
    assert_eq!(start.elapsed(), Duration::from_secs(5) + FOLLOWING + ALONE);
}

#[test]
fn an_empty_mirror_serves_nobody() {
    let (_sender, access) = socket(Following::default());
    assert!(!access.is_ready(&Snapshot::default()));
}

#[tokio::test]
async fn a_stream_ends_when_its_client_is_not_allowed_any_more() {
    let (one, other) = (Authority::new(), Authority::new());
    let client = one.client("envoy", None);
    let other_names = settings(&[&one], &["another"]);
    let other_authority = settings(&[&other], &["envoy"]);
    for (next, reason) in
        [(other_names, "no allowed name"), (other_authority, "cannot be verified")]
    {
        let (sender, access) = names(settings(&[&one], &["envoy"]));
        access.check(&client).unwrap();
        let ended = tokio::spawn(access.clone().end(client.clone()));
        // More names, and the next authority beside the last one: it stays.
        sender.send_replace(Arc::new(settings(&[&other, &one], &["another", "envoy"])));
        for _ in 0..10 {
            tokio::task::yield_now().await;
        }
        assert!(!ended.is_finished());
        sender.send_replace(Arc::new(next));
        let status = ended.await.unwrap().unwrap_err();
        assert_eq!(status.code(), tonic::Code::PermissionDenied);
        assert!(status.message().contains(reason), "{status}");
        assert!(access.check(&client).is_err());
    }
}

#[tokio::test]
async fn a_stream_ends_when_its_certificate_expires() {
    let authority = Authority::new();
    let (_sender, access) = names(settings(&[&authority], &["envoy"]));
    let expiry = since_1970() + Duration::from_secs(2);
    let client = authority.client("envoy", Some(expiry));
    // On a slow machine, the certificate may have expired by now.
    let checked = access.check(&client);
    assert!(checked.is_ok() || since_1970() >= expiry, "{checked:?}");
    let status = access.end(client).await.unwrap_err();
    assert!(status.message().contains("expired"), "{status}");
    assert!(since_1970() >= expiry);
}
