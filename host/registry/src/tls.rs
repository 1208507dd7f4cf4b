//! Certificates for HTTPS, from Java's settings as they are: PEM files, or PEM texts in the settings themselves.

use tidegate_config::{Problem, Settings};

/// What Java's settings come to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Tls {
    /// Files with certificates to trust, in place of the machine's.
    trusted: Option<Pem>,
    /// Certificate and key of ours.
    identity: Vec<Pem>,
    /// Whether the name in the certificate is not compared.
    any_name: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Pem {
    File(String),
    Text(String),
}

impl Pem {
    fn read(&self) -> Result<Vec<u8>, String> {
        match self {
            Pem::File(path) => std::fs::read(path).map_err(|error| format!("\"{path}\" cannot be read: {error}")),
            Pem::Text(text) => Ok(text.clone().into_bytes()),
        }
    }
}

const PREFIX: &str = "schema.registry.";

impl Tls {
    /// Reads the settings below `schema.registry.`; says what cannot be honoured.
    pub(crate) fn of(settings: &Settings) -> Result<Tls, Vec<Problem>> {
        let own = settings.below(PREFIX);
        let get = |key: &str| own.get(key).map(str::trim).filter(|value| !value.is_empty());
        let mut problems = Vec::new();
        let mut tls = Tls { any_name: own.get("ssl.endpoint.identification.algorithm") == Some(""), ..Tls::default() };
        for (key, type_key) in
            [("ssl.truststore.location", "ssl.truststore.type"), ("ssl.keystore.location", "ssl.keystore.type")]
        {
            let Some(path) = get(key) else { continue };
            let is_pem = match get(type_key) {
                Some(named) => named.eq_ignore_ascii_case("PEM"),
                None => [".pem", ".crt", ".cer", ".key"].iter().any(|end| path.to_ascii_lowercase().ends_with(end)),
            };
            if !is_pem {
                let key = format!("{PREFIX}{key}");
                let why = format!("only PEM files are read, convert it and set {PREFIX}{type_key}=PEM");
                problems.push(Problem::invalid(&key, path, &why));
            } else if key == "ssl.truststore.location" {
                tls.trusted = Some(Pem::File(path.to_owned()));
            } else {
                tls.identity.push(Pem::File(path.to_owned()));
            }
        }
        if let Some(text) = get("ssl.truststore.certificates") {
            tls.trusted = Some(Pem::Text(text.to_owned()));
        }
        for key in ["ssl.keystore.key", "ssl.keystore.certificate.chain"] {
            tls.identity.extend(get(key).map(|text| Pem::Text(text.to_owned())));
        }
        if get("ssl.key.password").is_some() {
            let key = format!("{PREFIX}ssl.key.password");
            problems.push(Problem::invalid(&key, "[hidden]", "encrypted keys are not read, decrypt the key"));
        }
        if problems.is_empty() { Ok(tls) } else { Err(problems) }
    }

    /// Sets up a client.
    pub(crate) fn apply(&self, mut client: reqwest::ClientBuilder) -> Result<reqwest::ClientBuilder, String> {
        if let Some(trusted) = &self.trusted {
            let certificates = reqwest::Certificate::from_pem_bundle(&trusted.read()?)
                .map_err(|error| format!("the certificates to trust cannot be read: {error}"))?;
            if certificates.is_empty() {
                return Err("there is no certificate among those to trust".to_owned());
            }
            client = client.tls_certs_only(certificates);
        }
        if !self.identity.is_empty() {
            let mut pem = Vec::new();
            for part in &self.identity {
                pem.extend(part.read()?);
                pem.push(b'\n');
            }
            let identity = reqwest::Identity::from_pem(&pem)
                .map_err(|error| format!("the certificate and key of the client cannot be read: {error}"))?;
            client = client.identity(identity);
        }
        Ok(client.tls_danger_accept_invalid_hostnames(self.any_name))
    }
}
