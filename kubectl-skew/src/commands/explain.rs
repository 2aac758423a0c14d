//! `kubectl skew explain`: what becomes of one request, or of each in a file.

use std::io::{Read, Write, stdin};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use clap::Args;

use crate::args::{Connection, Format};
use crate::explain::{Explanation, Sent};
use crate::facts::Facts;
use crate::request::{Request, RequestError, Words};
use crate::{output, source};

#[derive(Clone, Debug, Args)]
pub struct Explain {
    /// A path, such as /api/v1/pods, or a verb, such as get.
    #[arg(value_name = "PATH|VERB", required_unless_present = "file")]
    subject: Option<String>,
    /// The resource, if a verb comes first: pods, deployments.apps, deployments.v1.apps.
    #[arg(value_name = "RESOURCE[.VERSION.GROUP]")]
    resource: Option<String>,
    /// The name of the object.
    name: Option<String>,
    /// The subresource of the object, such as status.
    #[arg(long, value_name = "NAME")]
    subresource: Option<String>,
    /// In all namespaces.
    #[arg(short = 'A', long)]
    all_namespaces: bool,
    /// A file of requests: a method and a path on each line. `-` is the standard input.
    #[arg(short, long, value_name = "FILE", conflicts_with = "subject")]
    file: Option<PathBuf>,
    /// The method of a request for a path.
    #[arg(short = 'X', long, default_value = "GET")]
    method: String,
    /// The client's `Accept` header.
    #[arg(long, value_name = "VALUE", default_value = "application/json")]
    accept: String,
    /// The client's `User-Agent` header.
    #[arg(long, value_name = "VALUE", default_value = "kubectl")]
    user_agent: String,
    /// The client presents a client certificate to Envoy.
    #[arg(long)]
    with_certificate: bool,
    /// How to write the result.
    #[arg(short, long, value_enum, default_value_t)]
    output: Format,
}

impl Explain {
    /// Writes the explanation.
    ///
    /// # Errors
    /// The companion cannot be reached, or the words do not make a request.
    pub async fn run(&self, args: &Connection, out: &mut dyn Write) -> Result<()> {
        let facts = source::facts(args).await?;
        let sent = Sent {
            accept: &self.accept,
            user_agent: &self.user_agent,
            certificate: self.with_certificate,
        };
        let explain = |request| Explanation::of(request, sent, &facts);
        let text = match (&self.file, &self.subject) {
            (Some(file), _) => {
                let explanations: Vec<_> = read(file)?.into_iter().map(explain).collect();
                self.render_all(&explanations)?
            }
            (None, subject) => {
                let subject = subject.as_deref().unwrap_or_default();
                let namespace = args.namespace.as_deref();
                self.render(&explain(self.request(subject, namespace, &facts)?))?
            }
        };
        Ok(out.write_all(text.as_bytes())?)
    }

    fn render(&self, explanation: &Explanation) -> Result<String> {
        output::render(self.output, explanation, |_| explanation.text())
    }

    fn render_all(&self, explanations: &[Explanation]) -> Result<String> {
        let texts = || explanations.iter().map(Explanation::text).collect::<Vec<_>>().join("\n");
        output::render(self.output, &explanations, |_| texts())
    }

    fn request(
        &self,
        subject: &str,
        namespace: Option<&str>,
        facts: &Facts,
    ) -> Result<Request, RequestError> {
        let Some(resource) = &self.resource else {
            if !subject.starts_with('/') {
                return Err(RequestError::NoPath(subject.to_owned()));
            }
            return Ok(Request { method: self.method.clone(), path: subject.to_owned() });
        };
        let words = Words {
            verb: subject,
            resource,
            subresource: self.subresource.as_deref(),
            name: self.name.as_deref(),
            namespace,
            all_namespaces: self.all_namespaces,
        };
        words.request(facts)
    }
}

/// Reads a file of requests. Empty lines do not count.
fn read(file: &Path) -> Result<Vec<Request>> {
    let mut text = String::new();
    if file == Path::new("-") {
        stdin().read_to_string(&mut text)?;
    } else {
        let read = std::fs::read_to_string(file);
        text = read.with_context(|| format!("cannot read {}", file.display()))?;
    }
    let lines = text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty());
    let request = |line: &str| {
        let (method, path) = line.trim().split_once(' ')?;
        let path = path.trim();
        let request = Request { method: method.to_owned(), path: path.to_owned() };
        path.starts_with('/').then_some(request)
    };
    let fault = |number: usize| {
        let place = format!("{}:{}", file.display(), number + 1);
        format!("{place}: must be a method and a path, such as GET /api/v1/pods")
    };
    lines.map(|(number, line)| request(line).with_context(|| fault(number))).collect()
}
