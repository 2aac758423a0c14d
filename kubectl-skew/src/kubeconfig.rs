//! The user's kubeconfig, read as kubectl reads it, with the flags that override it.

use anyhow::{Context, Result};
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Client, Config};

use crate::args::Connection;

/// Returns the configuration that the flags choose.
///
/// # Errors
/// There is no kubeconfig, or it lacks the context, cluster or user.
pub async fn config(args: &Connection) -> Result<Config> {
    let file = match &args.kubeconfig {
        Some(path) => Kubeconfig::read_from(path),
        None => Kubeconfig::read(),
    };
    let options = KubeConfigOptions {
        context: args.context.clone(),
        cluster: args.cluster.clone(),
        user: args.user.clone(),
    };
    let file = file.context("the kubeconfig cannot be read")?;
    let config = Config::from_custom_kubeconfig(file, &options).await;
    let mut config = config.context("the kubeconfig cannot be used")?;
    config.connect_timeout = args.request_timeout.0;
    config.read_timeout = args.request_timeout.0;
    config.reset_reader_on_write = true;
    if args.impersonate.is_some() {
        config.auth_info.impersonate.clone_from(&args.impersonate);
    }
    if !args.impersonate_groups.is_empty() {
        config.auth_info.impersonate_groups = Some(args.impersonate_groups.clone());
    }
    Ok(config)
}

/// Returns a client of the API server that the kubeconfig names.
///
/// # Errors
/// As [`config`], or the credentials cannot be used.
pub async fn client(args: &Connection) -> Result<Client> {
    let config = config(args).await?;
    let server = config.cluster_url.to_string();
    Client::try_from(config).with_context(|| format!("cannot make a client of {server}"))
}
