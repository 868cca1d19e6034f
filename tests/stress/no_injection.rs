//! In place of `injection` on architectures whose registers it does not know.

use crate::part::Plan;

pub const ONE: &str = "inject=";

pub fn run(_: &mut Plan) {
    crate::support::skip("injection knows the registers of x86_64 only");
}

pub fn run_one(plan: &mut Plan, _: &str) {
    run(plan);
}
