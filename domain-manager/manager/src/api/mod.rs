// SPDX-License-Identifier: GPL-3.0-or-later
//! The Admin API: from a request to a reply.
//!
//! Order inside a request: its form (argument, payload, destination), then permission, then
//! existence, then the work (specification of the domain manager, 1.4).

mod call;
mod extensions;
mod inventory;
mod lifecycle;
mod properties;
mod server;
mod templates;

use std::rc::Rc;

use bulkhead_admin::{Reply, Request};

pub use server::{Door, listen, serve};

use crate::failure::Failure;
use crate::work::Manager;
use call::Call;

/// What a method answers.
type Answer = Result<Vec<u8>, Failure>;

/// The methods that a domain other than dom0 may call, if policy lets it: what it takes to
/// have a disposable. Everything else would need filters for what the caller may know.
const OPEN_TO_DOMAINS: [&str; 3] = [
    "admin.vm.CreateDisposable",
    "admin.vm.Start",
    "admin.vm.Kill",
];

/// Carries a request out.
pub async fn answer(manager: &Rc<Manager>, request: Request) -> Reply {
    match carry_out(manager, &request).await {
        Ok(content) => Reply::Ok(content),
        Err(failure) => {
            let Request {
                method,
                source,
                destination,
                ..
            } = &request;
            tracing::info!("{method} on {destination} by {source}: {failure}");
            Reply::Exception(failure.exception())
        }
    }
}

async fn carry_out(manager: &Rc<Manager>, request: &Request) -> Answer {
    let call = Call::new(manager, request);
    let method = request.method.name().as_str();
    if !request.source.is_dom0() && !OPEN_TO_DOMAINS.contains(&method) {
        return Err(Failure::Denied(format!("`{method}` is for dom0 only")));
    }
    match method {
        "admin.vmclass.List" => inventory::classes(&call),
        "admin.vm.List" => inventory::domains(&call),
        "admin.vm.CurrentState" => inventory::current_state(&call),
        "admin.label.List" => inventory::labels(&call),
        "admin.label.Get" => inventory::label_color(&call),
        "admin.label.Index" => inventory::label_index(&call),
        "admin.vm.property.List" => properties::list(&call),
        "admin.vm.property.Get" => properties::get(&call),
        "admin.vm.property.GetAll" => properties::get_all(&call),
        "admin.vm.property.GetDefault" => properties::get_default(&call),
        "admin.vm.property.Set" => properties::set(&call).await,
        "admin.vm.property.Reset" => properties::reset(&call).await,
        "admin.property.List" => properties::list_globals(&call),
        "admin.property.Get" => properties::get_global(&call),
        "admin.property.GetAll" => properties::get_all_globals(&call),
        "admin.property.Set" => properties::set_global(&call),
        "admin.property.Reset" => properties::reset_global(&call),
        "admin.vm.CreateDisposable" => lifecycle::create_disposable(&call).await,
        "admin.vm.Start" => lifecycle::start(&call).await,
        "admin.vm.Shutdown" => lifecycle::shutdown(&call).await,
        "admin.vm.Kill" => lifecycle::kill(&call).await,
        "admin.vm.Pause" => lifecycle::hold(&call, true).await,
        "admin.vm.Unpause" => lifecycle::hold(&call, false).await,
        "admin.vm.Remove" => lifecycle::remove(&call).await,
        "bulkhead.domain.List" => extensions::domains(&call),
        "bulkhead.domain.StartReport" => extensions::start_report(&call),
        "bulkhead.Status" => extensions::status(&call),
        "bulkhead.template.Install" => templates::install(&call).await,
        _ => match method.strip_prefix("admin.vm.Create.") {
            Some(class) => lifecycle::create(&call, class).await,
            None => Err(Failure::Protocol(format!("there is no method `{method}`"))),
        },
    }
}
