// SPDX-License-Identifier: GPL-3.0-or-later
//! Making, starting, ending and removing domains.

use std::collections::BTreeMap;

use bulkhead_types::{DomainName, DomainUuid, Label};

use super::{Answer, Call};
use crate::failure::Failure;
use crate::model::{Class, Global};
use crate::work::NewDomain;

pub(super) async fn create(call: &Call<'_>, class: &str) -> Answer {
    call.to_dom0()?;
    let class: Class = class
        .parse()
        .map_err(|()| Failure::BadArgument(format!("there is no class `{class}`")))?;
    let (name, label) = name_and_label(call.payload()?, call.manager.settings().defaults.label)?;
    let template = template(call, class)?;
    call.manager.check_template(class, template.as_ref())?;
    let created_by = call.manager.model().name_of(&call.source()?).cloned();
    let new = NewDomain {
        name,
        class,
        label,
        template,
        created_by: created_by.unwrap_or_else(DomainName::dom0),
        dispid: None,
        set: BTreeMap::new(),
        source: None,
    };
    call.manager.create(new).await?;
    Ok(Vec::new())
}

fn name_and_label(payload: &str, default: Label) -> Result<(DomainName, Label), Failure> {
    let (mut name, mut label) = (None, None);
    for part in payload.split(' ').filter(|part| !part.is_empty()) {
        let (key, value) = part.split_once('=').unwrap_or((part, ""));
        let slot = match key {
            "name" => &mut name,
            "label" => &mut label,
            _ => {
                return Err(Failure::Protocol(format!(
                    "unexpected `{key}` in the payload"
                )));
            }
        };
        if slot.replace(value).is_some() {
            return Err(Failure::Protocol(format!(
                "`{key}` stands twice in the payload"
            )));
        }
    }
    let name = name.ok_or_else(|| Failure::Protocol("the payload has no `name=`".to_owned()))?;
    let name = DomainName::parse(name).map_err(|error| Failure::BadArgument(error.to_string()))?;
    let label = label.map(str::parse).transpose()?;
    Ok((name, label.unwrap_or(default)))
}

/// The template that the argument names, or the system's default.
fn template(call: &Call<'_>, class: Class) -> Result<Option<DomainUuid>, Failure> {
    let model = call.manager.model();
    match (call.argument(), class) {
        ("", Class::TemplateVM | Class::AdminVM | Class::RemoteVM) => Ok(None),
        ("", Class::DispVM) => Ok(model.global(Global::DefaultDispvm).cloned()),
        ("", Class::AppVM) => Ok(model.global(Global::DefaultTemplate).cloned()),
        (name, _) => {
            let wanted = DomainName::parse(name).ok();
            let found = wanted.and_then(|name| {
                let destination = bulkhead_admin::Destination::Name(name);
                model
                    .find(&destination)
                    .ok()
                    .map(|entry| entry.domain.uuid.clone())
            });
            match found {
                Some(uuid) => Ok(Some(uuid)),
                None => Err(Failure::NoSuchDomain(name.to_owned())),
            }
        }
    }
}

pub(super) async fn create_disposable(call: &Call<'_>) -> Answer {
    if !call.argument().is_empty() {
        return Err(Failure::Protocol(
            "disposables are not prepared ahead; call without an argument".to_owned(),
        ));
    }
    let as_uuid = match call.payload()? {
        "" => false,
        "uuid" => true,
        _ => {
            return Err(Failure::Protocol(
                "the payload is empty or `uuid`".to_owned(),
            ));
        }
    };
    let owner = call.source()?;
    let base = match call.is_to_dom0() {
        true => None,
        false => Some(call.domain()?),
    };
    let uuid = call
        .manager
        .create_disposable(&owner, base.as_ref())
        .await?;
    let model = call.manager.model();
    Ok(match (as_uuid, model.name_of(&uuid)) {
        (false, Some(name)) => name.to_string().into_bytes(),
        _ => format!("uuid:{uuid}").into_bytes(),
    })
}

pub(super) async fn start(call: &Call<'_>) -> Answer {
    call.bare()?;
    call.manager.start(&call.domain()?).await?;
    Ok(Vec::new())
}

pub(super) async fn shutdown(call: &Call<'_>) -> Answer {
    call.no_payload()?;
    // Nothing depends on a running domain yet that `force` could override.
    let wait = match call.argument() {
        "" | "force" => false,
        "wait" | "force+wait" => true,
        other => return Err(Failure::Protocol(format!("unexpected argument `{other}`"))),
    };
    call.manager.shutdown(&call.domain()?, wait).await?;
    Ok(Vec::new())
}

pub(super) async fn kill(call: &Call<'_>) -> Answer {
    call.bare()?;
    call.manager.kill(&call.domain()?).await?;
    Ok(Vec::new())
}

pub(super) async fn hold(call: &Call<'_>, hold: bool) -> Answer {
    call.bare()?;
    call.manager.hold(&call.domain()?, hold).await?;
    Ok(Vec::new())
}

pub(super) async fn remove(call: &Call<'_>) -> Answer {
    call.bare()?;
    call.manager.remove(&call.domain()?).await?;
    Ok(Vec::new())
}
