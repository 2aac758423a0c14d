//! A control plane of two versions, the definitions and objects that a controller needs, and the
//! companion.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use harness::artifacts::Artifact;
use harness::companion::{Companion, CompanionOptions};
use harness::control_plane::{ControlPlane, User};
use harness::document::Document;
use harness::gateway::Gateway;
use harness::namespace::pod_address;
use harness::promise;
use harness::shell::Shell;
use harness::site::stack_options;
use harness::skew::{self, NEW};
use harness::stack::StackOptions;
use pki::ports;
use wire::client::{Client, Http};

pub struct Site {
    pub companion: Companion,
    pub options: StackOptions,
    pub plane: ControlPlane,
    gateway: Gateway,
    shell: Shell,
    document: Document,
}

impl Site {
    /// Starts all but the controller and Envoy.
    pub async fn start(gateway: Gateway, definitions: &Path) -> Result<Self> {
        // The namespace has no default route, by which a server would find its address.
        let advertised = format!("--advertise-address={}", pod_address(1));
        let servers = skew::servers().into_iter().map(|server| server.argument(&advertised));
        let plane = ControlPlane::start_with(servers.collect()).await?;
        let mut options = stack_options(&plane, "stack")?;
        options.gateway = Some(gateway);
        let port = ports::free_port()?;
        let folder = options.folder.join("companion");
        let config = options.companion_config(port)?;
        let mut companion = Companion::start(CompanionOptions { config, port, folder }).await?;
        companion.wait_ready().await?;
        let folder = plane.folder().join("administrator");
        let kubeconfig = plane.kubeconfig(&plane.server(NEW)?.url(), User::Admin)?;
        let shell = Shell::new(&folder, kubeconfig)?;
        let document = Document::read(&format!("envoy-config/{}/README.md", gateway.folder()))?;
        let commands = document.all("Install")?.len() + document.all("Check")?.len();
        ensure!(commands <= promise::MOST_COMMANDS, "{commands} commands");
        let site = Self { companion, options, plane, gateway, shell, document };
        site.write_files()?;
        site.shell.run(&format!("kubectl apply --server-side -f {}", definitions.display()))?;
        site.shell.run("kubectl wait crd --all --for=condition=Established")?;
        Ok(site)
    }

    /// Where the controller finds its API: the newer server, with no Envoy between.
    fn url(&self) -> Result<String> {
        Ok(self.plane.server(NEW)?.url())
    }

    pub fn admin(&self) -> Result<Client> {
        self.plane.client(&self.url()?, User::Admin, Http::Two)
    }

    pub fn kubeconfig(&self) -> Result<PathBuf> {
        self.plane.kubeconfig(&self.url()?, User::Admin)
    }

    pub fn folder(&self, name: &str) -> PathBuf {
        self.plane.folder().join(name)
    }

    /// Writes the files that the README names, with the places of this site.
    fn write_files(&self) -> Result<()> {
        let (folder, options) = (self.shell.folder(), &self.options);
        let front_proxy = options.front_proxy.as_ref().context("no front-proxy certificate")?;
        for (name, file) in [
            ("server.crt", &options.server.certificate),
            ("server.key", &options.server.key),
            ("client-ca.crt", &options.client_ca_file),
            ("peer-ca.crt", &options.ca_file),
            ("front-proxy-client.crt", &front_proxy.certificate),
            ("front-proxy-client.key", &front_proxy.key),
        ] {
            fs::copy(file, folder.join(name))?;
        }
        fs::write(folder.join("token"), &options.token)?;
        let module = Artifact::Filter.path()?;
        let module = module.parent().and_then(Path::to_str).context("not UTF-8")?;
        let published = options.published();
        let published = published.to_str().context("not UTF-8")?;
        for name in ["companion.yaml", "gateway.yaml", "patch.yaml"] {
            let text = self.gateway.shipped(name)?;
            let text = text
                .replace("/var/lib/mixed-version-proxy/envoy", published)
                .replace("/usr/lib/mixed-version-proxy", module);
            fs::write(folder.join(name), text)?;
        }
        Ok(())
    }

    /// Types the commands below a heading of the README, for a gateway at this port; what they print.
    pub fn type_commands(&self, heading: &str, port: u16) -> Result<String> {
        let mut printed = String::new();
        for command in self.document.all(heading)? {
            let command = format!("GATEWAY=127.0.0.1:{port}; {command}");
            printed += &self.shell.run(&command)?;
        }
        Ok(printed)
    }
}
