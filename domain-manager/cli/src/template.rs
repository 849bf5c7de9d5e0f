// SPDX-License-Identifier: GPL-3.0-or-later
//! Taking templates in.

use bulkhead_admin::TemplateSource;

use crate::arguments::Install;
use crate::client::Client;
use crate::failure::Failure;

pub fn install(client: &Client, install: &Install) -> Result<(), Failure> {
    let directory = install.directory.canonicalize();
    let directory = directory.map_err(|error| {
        Failure::new(format!(
            "there is no template in {}",
            install.directory.display()
        ))
        .because(&error)
        .hint("build one: `cargo xtask` lists how")
    })?;
    let source = TemplateSource {
        directory: directory.to_string_lossy().into_owned(),
        label: install.label.map(|label| label.to_string()),
    };
    let payload = serde_json::to_vec(&source)
        .map_err(|error| Failure::new("the template's folder cannot be named").because(&error))?;
    client.system(
        &format!("bulkhead.template.Install+{}", install.name),
        &payload,
    )?;
    Ok(())
}
