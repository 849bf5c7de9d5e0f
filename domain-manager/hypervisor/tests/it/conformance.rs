// SPDX-License-Identifier: GPL-3.0-or-later
//! The local back end passes the suite that Xen passes.

use bulkhead_hypervisor::conformance::Case;

use crate::machine::Machine;

macro_rules! local_back_end {
    ($($name:ident),* $(,)?) => {
        $(#[test]
        fn $name() {
            let machine = Machine::new();
            let case = Case::all().iter().find(|case| case.name == stringify!($name));
            case.unwrap().play(&machine.subject()).unwrap();
        })*

        #[test]
        fn no_case_is_left_out() {
            let played = [$(stringify!($name)),*];
            let all = Case::all().iter().map(|case| case.name);
            assert!(all.eq(played));
        }
    };
}

local_back_end![
    a_created_guest_waits_paused_under_its_name_and_uuid,
    an_unpaused_guest_runs_and_its_agent_is_reached,
    a_guest_that_is_asked_to_shut_down_ends,
    a_destroyed_guest_is_gone_and_its_end_is_reported_once,
    a_guest_outlives_the_manager_and_is_taken_over,
    a_guest_can_be_paused_and_goes_on_afterwards,
    a_name_is_given_to_one_guest_at_a_time,
    a_kernel_that_does_not_exist_is_named_and_nothing_is_left,
    a_volume_that_does_not_exist_is_named_and_nothing_is_left,
    an_order_to_nobody_is_refused,
];
