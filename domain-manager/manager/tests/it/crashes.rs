// SPDX-License-Identifier: GPL-3.0-or-later
//! A manager that dies at each of its steps is repaired by the next one.

use bulkheadd::step::Step;

use crate::fixture::Fixture;

/// A day that passes every step. Ends with `None` where the manager died.
fn day(fixture: &Fixture) -> Option<()> {
    let expect = |answer: Option<Result<String, (String, String)>>| match answer {
        Some(Ok(content)) => Some(content),
        Some(Err(error)) => panic!("{error:?}\n{}", fixture.log()),
        None => None,
    };
    let ask =
        |method: &str, domain: &str, payload: &str| expect(fixture.ask(method, domain, payload));
    ask("admin.vm.property.Set+vcpus", "work", "1")?;
    if !fixture.domains().contains_key("new") {
        ask(
            "admin.vm.Create.AppVM+debian",
            "dom0",
            "name=new label=green",
        )?;
    }
    ask("admin.vm.Start", "work", "")?;
    ask("admin.vm.Shutdown+wait", "work", "")?;
    ask("admin.vm.Start", "work", "")?;
    let disposable = expect(fixture.ask_as("work", "admin.vm.CreateDisposable", "base", ""))?;
    ask("admin.vm.Start", &disposable, "")?;
    ask("admin.vm.Kill", &disposable, "")?;
    ask("admin.vm.Remove", "new", "")?;
    ask("admin.vm.Kill", "work", "")?;
    Some(())
}

fn dies_and_is_repaired(steps: &[Step]) {
    let mut fixture = Fixture::with_domains();
    for step in steps {
        fixture.end_manager();
        fixture.start_manager(Some(*step));
        assert_eq!(day(&fixture), None, "{} was not reached", step.name());
        fixture.died();
        fixture.start_manager(None);
        fixture.verify_invariants();
        let lasting = fixture.domains();
        for name in ["base", "debian", "work"] {
            assert!(
                lasting.contains_key(name),
                "{name} is lost after {}",
                step.name()
            );
        }
        // And the next day is like any other.
        assert_eq!(day(&fixture), Some(()), "after {}", step.name());
        fixture.verify_invariants();
    }
}

/// The steps in as many parts as there are tests below, so that they run side by side.
fn part(number: usize) -> Vec<Step> {
    Step::ALL.iter().copied().skip(number).step_by(3).collect()
}

#[test]
fn killed_at_the_first_third_of_its_steps_a_manager_is_repaired() {
    dies_and_is_repaired(&part(0));
}

#[test]
fn killed_at_the_second_third_of_its_steps_a_manager_is_repaired() {
    dies_and_is_repaired(&part(1));
}

#[test]
fn killed_at_the_last_third_of_its_steps_a_manager_is_repaired() {
    dies_and_is_repaired(&part(2));
}
