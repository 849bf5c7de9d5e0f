// SPDX-License-Identifier: GPL-3.0-or-later
//! Taking a template that the builder made into the system.

use std::collections::BTreeMap;
use std::path::PathBuf;

use bulkhead_admin::TemplateSource;
use bulkhead_types::{DomainName, Label};

use super::{Answer, Call};
use crate::failure::Failure;
use crate::model::Class;
use crate::settings::Backend;
use crate::work::{IMAGE, NewDomain};

pub(super) async fn install(call: &Call<'_>) -> Answer {
    call.to_dom0()?;
    let name = DomainName::parse(call.needed_argument()?);
    let name = name.map_err(|error| Failure::BadArgument(error.to_string()))?;
    let source: TemplateSource = serde_json::from_str(call.payload()?).map_err(|error| {
        Failure::Protocol(format!("the payload is no template's source: {error}"))
    })?;
    let defaults = &call.manager.settings().defaults;
    let label = source
        .label
        .map(|label| label.parse::<Label>())
        .transpose()?;
    let directory = PathBuf::from(source.directory);
    let needed = match call.manager.settings().backend {
        Backend::Xen => [IMAGE, "vmlinuz"].as_slice(),
        // Its guests see this machine's own system.
        Backend::Local => &[],
    };
    for file in needed {
        let path = directory.join(file);
        if !path.is_file() {
            return Err(Failure::BadArgument(format!(
                "the template has no `{}`",
                path.display()
            )));
        }
    }
    if call.manager.model().uuid_of(&name).is_some() {
        return Err(Failure::AlreadyExists(name));
    }
    let folder = call.manager.layout().templates().join(name.as_str());
    if folder == directory {
        return Err(Failure::BadArgument(format!(
            "{} is where installed templates are kept; build the template elsewhere",
            folder.display()
        )));
    }
    let new = NewDomain {
        name,
        class: Class::TemplateVM,
        label: label.unwrap_or(defaults.label),
        template: None,
        created_by: DomainName::dom0(),
        dispid: None,
        set: BTreeMap::new(),
        source: Some(directory),
    };
    call.manager.create(new).await?;
    Ok(Vec::new())
}
