//! The look at a server before it is measured.
//!
//! Owns the sentences about servers that would answer nothing rightly. Measures nothing.

use std::time::Instant;

use hyper::StatusCode;

use crate::client::{Connection, Endpoint};
use crate::error::BenchError;
use crate::plan::Plan;
use crate::tally::{objection, problem_code};
use crate::target::Target;
use crate::workload::Workload;

/// Executes each program once. A server that has no room now may have it later.
pub(crate) async fn check<'a>(
    target: &'a Target,
    workload: &Workload,
    plan: &Plan,
) -> Result<Endpoint<'a>, BenchError> {
    let endpoint = Endpoint::find(target).await?;
    let server = || target.url.clone();
    let mut connection = Connection::new(endpoint);
    for program in &workload.programs {
        let result = connection.execute(&program.body, Instant::now() + plan.timeout).await;
        match &result {
            Ok(answer) if answer.http_status == StatusCode::UNAUTHORIZED => {
                return Err(BenchError::KeyRefused { server: server() });
            }
            Ok(answer) if answer.http_status == StatusCode::TOO_MANY_REQUESTS => continue,
            Ok(answer) if problem_code(answer).as_deref() == Some("draining") => {
                return Err(BenchError::Draining { server: server() });
            }
            _ => {}
        }
        if let Some(reason) = objection(program, &result) {
            return Err(BenchError::NotExecuted { server: server(), language: program.name.clone(), reason });
        }
    }
    Ok(endpoint)
}
