//! Tests of admission: its bounds, its refusals, and that no tenant is starved, also under random orders of events.

use std::collections::BTreeMap;

use proptest::prelude::*;
use tokio::sync::oneshot::error::TryRecvError;

use super::*;

const UNBOUND: Bounds = Bounds {
    max_concurrent: 10,
    max_concurrent_per_tenant: None,
    max_queued: 10,
    max_queue_wait: None,
    max_request_bytes: 100,
    max_output_bytes: 100,
    max_run_bytes: usize::MAX,
    shared: false,
};

impl Place {
    fn may_run(&mut self) -> bool {
        // Closed when its turn was told of before.
        let turn = self.turn.try_recv();
        if let Ok(run_bytes) = turn {
            self.demand().run_bytes = run_bytes;
        }
        turn != Err(TryRecvError::Empty)
    }
}

fn admission(max_concurrent: usize, max_queued: usize) -> Admission {
    Admission::new(Bounds { max_concurrent, max_queued, ..UNBOUND })
}

fn shared(max_concurrent: usize, max_queued: usize) -> Admission {
    Admission::new(Bounds { max_concurrent, max_queued, shared: true, ..UNBOUND })
}

fn demand(request_bytes: usize, output_bytes: usize) -> Demand {
    Demand { request_bytes, output_bytes, run_bytes: 0 }
}

fn run(run_bytes: usize) -> Demand {
    Demand { run_bytes, ..Demand::default() }
}

fn enter(admission: &Admission, tenant: &str) -> Result<Place, &'static str> {
    let place = admission.enter(Some(&Tenant::new(tenant)), Demand::default(), None);
    place.map_err(|refusal| refusal.reason.as_str())
}

fn many(admission: &Admission, tenant: &str, number: usize) -> Vec<Place> {
    (0..number).map_while(|_| enter(admission, tenant).ok()).collect()
}

#[tokio::test]
async fn as_many_run_as_may_and_as_many_wait_as_may() {
    let admission = admission(2, 1);
    let first = enter(&admission, "a").unwrap();
    enter(&admission, "a").unwrap().turn().await;
    let mut places = many(&admission, "a", 3);
    assert_eq!((admission.running(), admission.queued(), places.len()), (2, 1, 2));
    assert_eq!(enter(&admission, "a").unwrap_err(), "queue_full");
    drop(first);
    places.last_mut().unwrap().turn().await;
    assert_eq!((admission.running(), admission.queued()), (2, 0));
    drop(places);
    assert_eq!((admission.running(), admission.queued()), (0, 0));
}

#[test]
fn a_place_given_up_while_waiting_is_free_again() {
    let admission = admission(1, 1);
    let _running = enter(&admission, "a").unwrap();
    let waiting = enter(&admission, "a").unwrap();
    assert!(enter(&admission, "a").is_err());
    drop(waiting);
    assert!(enter(&admission, "a").is_ok());
}

#[test]
fn without_a_queue_only_free_places_admit() {
    let admission = admission(1, 0);
    let running = enter(&admission, "a").unwrap();
    assert!(enter(&admission, "a").is_err());
    drop(running);
    assert!(enter(&admission, "a").is_ok());
}

#[test]
fn requests_are_bounded_by_their_bytes_until_they_have_run() {
    let admission = admission(10, 10);
    let enter =
        |bytes| admission.enter(None, demand(bytes, 1), None).map_err(|refusal| refusal.reason.as_str());
    let running = enter(60).unwrap();
    assert_eq!(enter(41).unwrap_err(), "request_memory");
    assert!(enter(40).is_ok());
    drop(running);
    assert!(enter(100).is_ok());
}

#[test]
fn outputs_that_could_be_too_large_together_run_one_after_the_other() {
    let admission = admission(10, 10);
    let first = admission.enter(None, demand(1, 60), None).unwrap();
    let mut second = admission.enter(None, demand(1, 60), None).unwrap();
    assert!(!second.may_run());
    drop(first);
    assert!(second.may_run());
    drop(second);
    assert!(admission.enter(None, demand(1, usize::MAX), None).unwrap().may_run());
}

#[test]
fn a_free_place_goes_to_the_tenants_in_turn() {
    let admission = admission(1, 100);
    let running = enter(&admission, "a").unwrap();
    let mut waiting: Vec<_> = ["a", "a", "a", "b", "b", "c"]
        .map(|tenant| (tenant, enter(&admission, tenant).unwrap()))
        .into_iter()
        .collect();
    drop(running);
    let mut order = String::new();
    while let Some(at) = waiting.iter_mut().position(|(_, place)| place.may_run()) {
        order.push_str(waiting.remove(at).0);
    }
    assert_eq!(order, "abcaba");
}

#[test]
fn one_tenant_leaves_places_to_others_and_two_leave_some_as_well() {
    let admission = shared(100, 100);
    let mut greedy = many(&admission, "a", 1000);
    assert_eq!((admission.running(), admission.queued()), (75, 75));
    assert_eq!(enter(&admission, "a").unwrap_err(), "key_share");
    assert!(greedy.iter_mut().take(75).all(Place::may_run));
    let mut other = many(&admission, "b", 1000);
    assert_eq!(other.iter_mut().filter_map(|place| place.may_run().then_some(())).count(), 18);
    assert_eq!(enter(&admission, "b").unwrap_err(), "key_share");
    assert!(enter(&admission, "c").unwrap().may_run());
}

#[test]
fn a_tenant_with_nothing_may_take_the_last_and_one_alone_takes_all() {
    let admission = shared(2, 2);
    let _first = many(&admission, "a", 10);
    assert_eq!(admission.running(), 1);
    assert!(enter(&admission, "b").unwrap().may_run());
    let alone = self::admission(2, 2);
    assert_eq!(many(&alone, "a", 10).len(), 4);
}

#[test]
fn a_bound_for_each_tenant_is_kept() {
    let admission = Admission::new(Bounds { max_concurrent_per_tenant: Some(2), ..UNBOUND });
    let mut places = many(&admission, "a", 3);
    assert!(enter(&admission, "b").unwrap().may_run());
    assert_eq!(admission.running(), 2);
    assert!(!places[2].may_run());
    places.remove(0);
    assert!(places[1].may_run());
}

#[test]
fn memory_for_requests_is_shared_too() {
    let admission = shared(100, 100);
    let enter = |tenant, bytes| admission.enter(Some(&Tenant::new(tenant)), demand(bytes, 0), None);
    let _first = enter("a", 70).unwrap();
    assert_eq!(enter("a", 20).unwrap_err().reason.as_str(), "key_share");
    assert!(enter("b", 20).is_ok());
}

#[test]
fn one_that_needs_much_memory_is_passed_only_so_often() {
    let admission = Admission::new(Bounds { max_concurrent: 4, max_queued: 1000, ..UNBOUND });
    let small = || admission.enter(Some(&Tenant::new("small")), demand(0, 10), None).unwrap();
    let mut running: Vec<_> = (0..4).map(|_| small()).collect();
    let mut large = admission.enter(Some(&Tenant::new("large")), demand(0, 100), None).unwrap();
    let comes_to_run = (0..12).any(|_| {
        running.push(small());
        running.remove(0);
        large.may_run()
    });
    assert!(comes_to_run, "12 have passed it, and 4 may");
}

#[test]
fn memory_is_set_aside_for_runs_and_who_finds_none_waits() {
    let admission = Admission::new(Bounds { max_run_bytes: 100, ..UNBOUND });
    let first = admission.enter(None, run(60), None).unwrap();
    let mut second = admission.enter(None, run(60), None).unwrap();
    assert!(!second.may_run());
    drop(first);
    assert!(second.may_run());
    drop(second);
    let mut large = admission.enter(None, run(1000), None).unwrap();
    assert!(large.may_run(), "alone, it has all that there is");
    assert_eq!((large.run_bytes(), admission.run_bytes()), (100, 100));
}

#[test]
fn a_run_that_takes_more_than_was_thought_has_it_and_others_wait() {
    let admission = Admission::new(Bounds { max_run_bytes: 100, ..UNBOUND });
    let enter = || admission.enter(None, run(20), None).unwrap();
    let (mut first, mut second) = (enter(), enter());
    assert!(first.may_run() && second.may_run());
    first.grow(150);
    assert_eq!((first.run_bytes(), admission.run_bytes()), (150, 170));
    let mut third = admission.enter(None, run(1), None).unwrap();
    assert!(!third.may_run());
    second.grow(10);
    assert_eq!(second.run_bytes(), 20, "nothing is taken back");
    drop(second);
    assert!(!third.may_run());
    drop(first);
    assert!(third.may_run());
    drop(third);
    assert!(lock(&admission.queue).is_empty());
}

#[test]
fn who_has_waited_needs_what_is_known_then() {
    let admission = Admission::new(Bounds { max_run_bytes: 100, ..UNBOUND });
    let first = admission.enter(None, run(60), None).unwrap();
    let waiting = |bytes: usize| admission.enter(None, run(60), Some(Box::new(move || bytes))).unwrap();
    let mut others = [waiting(20), waiting(30), waiting(70)];
    assert!(others.iter_mut().all(|place| !place.may_run()));
    drop(first);
    assert_eq!(others.each_mut().map(Place::may_run), [true, true, false]);
    assert_eq!(admission.run_bytes(), 50);
    // Also of one that leaves before it has heard of its turn.
    let [a, b, c] = others;
    drop(b);
    assert_eq!((a.run_bytes(), admission.run_bytes()), (20, 90));
    drop((a, c));
    assert!(lock(&admission.queue).is_empty());
}

#[test]
fn a_host_that_is_short_of_memory_delays_those_who_come_and_lets_one_run_at_a_time() {
    let admission = admission(10, 10);
    let first = enter(&admission, "a").unwrap();
    admission.set_host_short(true);
    let (mut second, mut third) = (enter(&admission, "a").unwrap(), enter(&admission, "b").unwrap());
    assert!(!second.may_run() && !third.may_run());
    drop(first);
    assert!(second.may_run() && !third.may_run());
    admission.set_host_short(false);
    assert!(third.may_run());
}

#[test]
fn a_run_that_needs_much_memory_is_passed_only_so_often() {
    let admission =
        Admission::new(Bounds { max_concurrent: 4, max_queued: 1000, max_run_bytes: 100, ..UNBOUND });
    let small = || admission.enter(Some(&Tenant::new("small")), run(10), None).unwrap();
    let mut running: Vec<_> = (0..4).map(|_| small()).collect();
    let mut large = admission.enter(Some(&Tenant::new("large")), run(100), None).unwrap();
    let comes_to_run = (0..12).any(|_| {
        running.push(small());
        running.remove(0);
        large.may_run()
    });
    assert!(comes_to_run, "12 have passed it, and 4 may");
}

/// Lets time go by as it is told.
struct Clock {
    queue: Queue,
    now: Instant,
    held: Vec<u64>,
}

impl Clock {
    fn new(max_queue_wait: Option<Duration>) -> Self {
        let bounds = Bounds { max_concurrent: 1, max_queued: 100, max_queue_wait, ..UNBOUND };
        Clock { queue: Queue::new(bounds), now: Instant::now(), held: Vec::new() }
    }

    fn enter(&mut self) -> Result<(), Refusal> {
        let (number, _) = self.queue.enter(&None, Demand::default(), None, oneshot::channel().0, self.now)?;
        self.held.push(number);
        Ok(())
    }

    fn finish_after(&mut self, time: Duration) {
        self.now += time;
        self.queue.leave(&None, self.held.remove(0), Demand::default(), self.now);
    }
}

#[test]
fn who_would_wait_for_too_long_is_told_when_to_come_again() {
    let mut clock = Clock::new(Some(Duration::from_secs(4)));
    // Nothing is known: all are let in.
    for _ in 0..7 {
        clock.enter().unwrap();
    }
    // One a second: with 4 that wait and one that runs, another would wait for 5 s.
    clock.finish_after(Duration::from_secs(2));
    clock.finish_after(Duration::from_secs(1));
    let refusal = clock.enter().unwrap_err();
    let (estimate, maximum) = (Duration::from_secs(5), Duration::from_secs(4));
    assert_eq!(refusal.reason, RefusalReason::QueueWait { estimate, maximum });
    assert_eq!(refusal.retry_after, estimate);
    assert_eq!(clock.queue.estimated_wait(), Duration::from_secs(4));
    clock.finish_after(Duration::from_secs(1));
    clock.enter().unwrap();
}

#[test]
fn nobody_is_let_in_behind_one_that_has_waited_for_too_long() {
    let mut clock = Clock::new(Some(Duration::from_secs(3)));
    clock.enter().unwrap();
    clock.enter().unwrap();
    clock.now += Duration::from_secs(4);
    assert_eq!(clock.enter().unwrap_err().reason.as_str(), "queue_wait");
    // The one that waits is run nevertheless, and then there is nothing to wait for.
    clock.finish_after(Duration::from_secs(1));
    assert_eq!((clock.queue.running(), clock.queue.waiting()), (1, 0));
}

#[derive(Clone, Debug)]
enum Event {
    Enter {
        tenant: usize,
        demand: Demand,
    },
    Leave(prop::sample::Index),
    /// One that runs takes more than was set aside.
    Grow(prop::sample::Index, usize),
    HostShort(bool),
}

const TENANTS: [&str; 4] = ["a", "b", "c", "d"];

fn events(most_memory: usize) -> impl Strategy<Value = Vec<Event>> {
    let enter = (0..TENANTS.len(), 0..30usize, 0..=most_memory, 0..=most_memory).prop_map(
        |(tenant, request_bytes, output_bytes, run_bytes)| {
            let demand = Demand { request_bytes, output_bytes, run_bytes };
            Event::Enter { tenant, demand }
        },
    );
    let index = any::<prop::sample::Index>;
    // Where nothing needs memory, nothing is short of it either.
    let grow = (index(), 0..=most_memory * 2).prop_map(|(index, bytes)| Event::Grow(index, bytes));
    let short = any::<bool>().prop_map(move |short| Event::HostShort(short && most_memory > 0));
    let event = prop_oneof![6 => enter, 4 => index().prop_map(Event::Leave), 1 => grow, 1 => short];
    prop::collection::vec(event, 1..120)
}

/// All that entered and has not left, as the tests know it.
struct World {
    admission: Admission,
    bounds: Bounds,
    places: Vec<(usize, Place)>,
    /// The last of each tenant that came to run.
    last: BTreeMap<usize, u64>,
    /// How often others have passed a tenant that waits and has nothing.
    passed: BTreeMap<usize, BTreeMap<usize, usize>>,
}

impl World {
    fn new(bounds: Bounds) -> Self {
        let (last, passed) = (BTreeMap::new(), BTreeMap::new());
        World { admission: Admission::new(bounds), bounds, places: Vec::new(), last, passed }
    }

    fn running_of(&mut self) -> BTreeMap<usize, Vec<u64>> {
        let mut running = BTreeMap::<_, Vec<u64>>::new();
        for (tenant, place) in &mut self.places {
            if place.may_run() {
                running.entry(*tenant).or_default().push(place.number);
            }
        }
        running
    }

    fn apply(&mut self, event: &Event) {
        let before = self.running_of();
        match event {
            Event::Enter { tenant, demand } => {
                let name = Tenant::new(TENANTS[*tenant]);
                if let Ok(place) = self.admission.enter(Some(&name), *demand, None) {
                    self.places.push((*tenant, place));
                }
            }
            Event::Grow(index, bytes) if !self.places.is_empty() => {
                let index = index.index(self.places.len());
                let (_, place) = &mut self.places[index];
                if place.may_run() {
                    place.grow(*bytes);
                }
            }
            Event::HostShort(short) => self.admission.set_host_short(*short),
            Event::Leave(index) if !self.places.is_empty() => {
                self.places.remove(index.index(self.places.len()));
            }
            Event::Leave(_) | Event::Grow(..) => {}
        }
        self.check(&before);
    }

    fn check(&mut self, before: &BTreeMap<usize, Vec<u64>>) {
        let owed = lock(&self.admission.queue).next_turn();
        assert!(owed.is_none(), "somebody could run, and was not told");
        let running = self.running_of();
        let number: usize = running.values().map(Vec::len).sum();
        let waiting = self.places.len() - number;
        assert_eq!((self.admission.running(), self.admission.queued()), (number, waiting));
        assert!(number <= self.bounds.max_concurrent && waiting <= self.bounds.max_queued);
        let most = self.bounds.max_concurrent_per_tenant.unwrap_or(usize::MAX);
        assert!(running.values().all(|own| own.len() <= most));
        let demands = || self.places.iter().map(|(_, place)| (place.number, *place.demand()));
        let is_running = |number: &u64| running.values().flatten().any(|running| running == number);
        let requests: usize = demands().map(|(_, demand)| demand.request_bytes).sum();
        let of_running = || demands().filter(|(number, _)| is_running(number));
        let outputs: usize = of_running().map(|(_, demand)| demand.output_bytes).sum();
        let run_bytes: usize = of_running().map(|(_, demand)| demand.run_bytes).sum();
        assert_eq!(self.admission.run_bytes(), run_bytes);
        // Those that run may have grown, but nobody comes to them then.
        let has_come = running.iter().any(|(tenant, own)| {
            own.iter().any(|number| !before.get(tenant).is_some_and(|before| before.contains(number)))
        });
        assert!(!has_come || run_bytes <= self.bounds.max_run_bytes, "{run_bytes} are set aside");
        assert!(requests <= self.bounds.max_request_bytes && outputs <= self.bounds.max_output_bytes);

        // First come, first served, within each tenant; and who waits with nothing is passed once by each other.
        let known = |tenant: &usize, number: &u64| before.get(tenant).is_some_and(|own| own.contains(number));
        for (tenant, numbers) in &running {
            for number in numbers.iter().filter(|number| !known(tenant, number)) {
                assert!(self.last.insert(*tenant, *number).is_none_or(|last| last < *number));
                self.passed.remove(tenant);
                for passed in self.passed.values_mut() {
                    *passed.entry(*tenant).or_default() += 1;
                }
            }
        }
        let waits = |tenant: usize| self.places.iter().any(|(other, _)| *other == tenant);
        for tenant in 0..TENANTS.len() {
            if waits(tenant) && !running.contains_key(&tenant) {
                self.passed.entry(tenant).or_default();
            } else {
                self.passed.remove(&tenant);
            }
        }
    }

    /// Ends what runs until nothing is left: whoever waits must come to run by that alone.
    fn drain(mut self) {
        while !self.places.is_empty() {
            let next = self.places.iter_mut().position(|(_, place)| place.may_run());
            let before = self.running_of();
            self.places.remove(next.expect("nothing runs, and yet somebody waits"));
            self.check(&before);
        }
        assert!(lock(&self.admission.queue).is_empty());
    }
}

fn bounds() -> impl Strategy<Value = Bounds> {
    (1..6usize, prop::option::of(1..4usize), 0..12usize, any::<bool>()).prop_map(
        |(max_concurrent, max_concurrent_per_tenant, max_queued, shared)| Bounds {
            max_concurrent,
            max_concurrent_per_tenant,
            max_queued,
            shared,
            max_run_bytes: 100,
            ..UNBOUND
        },
    )
}

proptest! {
    #[test]
    fn bounds_are_kept_and_everyone_comes_to_run(bounds in bounds(), events in events(120)) {
        let mut world = World::new(bounds);
        events.iter().for_each(|event| world.apply(event));
        world.drain();
    }

    #[test]
    fn who_waits_with_nothing_is_passed_once_by_each_other(bounds in bounds(), events in events(0)) {
        let mut world = World::new(bounds);
        for event in &events {
            world.apply(event);
            let often = world.passed.values().flat_map(BTreeMap::values).all(|times| *times <= 1);
            prop_assert!(often, "{:?}", world.passed);
        }
        world.drain();
    }

    #[test]
    fn one_tenant_alone_wastes_no_place(bounds in bounds(), events in events(0)) {
        let mut world = World::new(Bounds { shared: false, max_concurrent_per_tenant: None, ..bounds });
        for event in &events {
            world.apply(event);
            let admission = &world.admission;
            prop_assert!(admission.queued() == 0 || admission.running() == bounds.max_concurrent);
        }
    }
}
