//! temp
use std::process::ExitCode;
use soulbox_engine::*;
fn main() -> ExitCode {
    let mut args = std::env::args_os().skip(1);
    let first = args.next();
    if first.as_deref().is_some_and(|a| a == soulbox_sandbox::HELPER_COMMAND) {
        return soulbox_sandbox::helper_main(args);
    }
    tracing_subscriber::fmt().with_writer(std::io::stderr).with_env_filter("warn,libcgroups=error").init();
    let code = first.unwrap().into_string().unwrap();
    let n: usize = args.next().map_or(1, |n| n.to_str().unwrap().parse().unwrap());
    let rt = tokio::runtime::Runtime::new().unwrap();
    rt.block_on(async {
        let engine = Engine::new(EngineConfig::new("/var/lib/soulbox".into()), Bundle::embedded().unwrap()).unwrap();
        let mut times = vec![];
        for _ in 0..n {
        let t = engine.submit(ExecutionRequest{language:"python".into(),code:Some(code.clone()),files:vec![],entrypoint:None,args:vec![],stdin:vec![],env:vec![],limits:Default::default()}).unwrap();
        let o = t.outcome().await;
        if n == 1 { eprintln!("{:?} {:?} {:?} {:?} {:?} {:?}", o.status, o.detail, o.exit_code, o.timing, o.usage, o.start_kind);
        println!("{}", String::from_utf8_lossy(&o.stdout)); eprintln!("{}", String::from_utf8_lossy(&o.stderr)); }
        times.push(o.timing);
        }
        if n > 1 { let med = |f: &dyn Fn(&Timing)->std::time::Duration| { let mut v: Vec<_> = times.iter().map(f).collect(); v.sort(); v[v.len()/2] };
        eprintln!("start {:?} run {:?} total {:?}", med(&|t| t.start), med(&|t| t.run), med(&|t| t.total)); }
        engine.drain(std::time::Duration::from_secs(5)).await;
    });
    ExitCode::SUCCESS
}
