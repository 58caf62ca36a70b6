use super::*;

const GONE: &str = "InsufficientInstanceCapacity";

fn pool(zone: &str, instance_type: &str, spot: f64) -> PoolMarket {
    PoolMarket {
        instance_type: instance_type.to_owned(),
        zone: zone.to_owned(),
        vcpu: 2,
        memory_mib: 8192,
        architecture: Architecture::X86_64,
        spot_offered: true,
        spot: Some(spot),
        on_demand: Some(0.1),
        score: None,
        refused: Vec::new(),
    }
}

fn scored(pool: PoolMarket, score: u8) -> PoolMarket {
    PoolMarket { score: Some(score), ..pool }
}

fn region(name: &str, pools: Vec<PoolMarket>) -> RegionMarket {
    RegionMarket { region: name.to_owned(), pools, ..RegionMarket::default() }
}

fn quota(region: &str, market: Market, limit: u32, used: u32) -> Quota {
    let code = Family::Standard.quota_code(market).unwrap().to_owned();
    Quota { region: region.to_owned(), market, family: Family::Standard, code, limit: Some(limit), used }
}

fn wanted(count: u32) -> Wanted {
    Wanted { count, ..Wanted::default() }
}

fn decide(wanted: Wanted, markets: Vec<RegionMarket>) -> Allocation {
    let made = Allocation::decide(wanted, markets).unwrap();
    assert!(made.regions.iter().all(|share| share.count > 0 && !share.pools.is_empty()), "{made:?}");
    made
}

/// `region count first-pool` of each share.
fn summary(made: &Allocation) -> Vec<String> {
    let line = |share: &Share| {
        format!("{} {} {} {}", share.region, share.market.as_str(), share.count, share.pools[0].zone)
    };
    made.regions.iter().map(line).collect()
}

fn texts(made: &Allocation) -> String {
    made.explanation.iter().map(|reason| reason.text.as_str()).collect::<Vec<_>>().join("\n")
}

fn refused(region: &str, zone: &str, instance_type: &str, code: &str) -> Refused {
    Refused {
        region: region.to_owned(),
        zone: zone.to_owned(),
        instance_type: instance_type.to_owned(),
        market: Market::Spot,
        code: code.to_owned(),
    }
}

fn placed(region: &str, zone: &str, count: usize) -> Vec<Placed> {
    let one = Placed {
        region: region.to_owned(),
        zone: zone.to_owned(),
        instance_type: "m5.large".to_owned(),
        market: Market::Spot,
    };
    vec![one; count]
}

#[test]
fn the_likely_come_before_the_cheap_and_the_cheap_before_the_dear() {
    let made = decide(
        wanted(4),
        vec![
            region("cheap", vec![scored(pool("cheap-a", "m5.large", 0.01), 2)]),
            region("dear", vec![scored(pool("dear-a", "m5.large", 0.05), 9)]),
            region("good", vec![scored(pool("good-a", "m5.large", 0.03), 10)]),
        ],
    );
    assert_eq!(summary(&made), ["good spot 2 good-a", "dear spot 2 dear-a"]);
    assert_eq!((made.count, made.missing), (4, 0));
    assert!((made.hourly.unwrap() - 0.16).abs() < 1e-9);
    let why = texts(&made);
    assert!(
        why.contains("good: 2 spot from 1 pool, first good-a m5.large at $0.03: placement score 10"),
        "{why}"
    );
    assert!(why.contains("cheap: kept in reserve: others are likelier or cheaper, from $0.01"), "{why}");
}

#[test]
fn a_region_is_not_asked_for_more_than_it_probably_has() {
    let made = decide(
        wanted(10),
        vec![
            region("a", vec![scored(pool("a-1", "m5.large", 0.02), 5)]),
            region("b", vec![scored(pool("b-1", "m5.large", 0.03), 5)]),
        ],
    );
    assert_eq!(summary(&made), ["a spot 5 a-1", "b spot 5 b-1"]);
}

#[test]
fn each_spread_has_its_own_order() {
    let markets = vec![
        region("a", vec![scored(pool("a-1", "m5.large", 0.05), 9)]),
        region("b", vec![scored(pool("b-1", "m5.large", 0.01), 1)]),
        region("c", vec![scored(pool("c-1", "m5.large", 0.02), 10)]),
    ];
    let of = |spread| summary(&decide(Wanted { spread, ..wanted(7) }, markets.clone()));
    assert_eq!(of(Spread::Even), ["a spot 3 a-1", "b spot 2 b-1", "c spot 2 c-1"]);
    assert_eq!(of(Spread::Cheapest), ["b spot 7 b-1"]);
    assert_eq!(of(Spread::Balanced), ["c spot 4 c-1", "a spot 3 a-1"]);
    assert_eq!(of(Spread::Capacity), ["c spot 4 c-1", "a spot 3 a-1"]);
    let error = Spread::parse("cheap").unwrap_err();
    assert!(error.message().contains("unknown spread `cheap`"), "{error}");
    for word in Spread::WORDS {
        assert_eq!(serde_json::to_value(Spread::parse(word).unwrap()).unwrap(), word);
    }
}

#[test]
fn a_pool_that_refused_a_while_ago_is_asked_last_and_its_zone_counted_on_less() {
    let mut shy = pool("a-1", "m5.large", 0.01);
    shy.refused = vec![PastRefusal { market: Market::Spot, code: GONE.to_owned(), ago: 250 }];
    let made = decide(wanted(2), vec![region("a", vec![shy, pool("a-2", "m5.large", 0.02)])]);
    let zones: Vec<&str> = made.regions[0].pools.iter().map(|it| it.zone.as_str()).collect();
    assert_eq!(zones, ["a-2", "a-1"]);
    let why = texts(&made);
    assert!(
        why.contains("a-1 m5.large: refused InsufficientInstanceCapacity 4 min ago: asked last"),
        "{why}"
    );
}

#[test]
fn a_quota_bounds_the_region_and_is_named() {
    let mut small = region("eu-west-1", vec![pool("eu-west-1a", "m5.large", 0.01)]);
    small.quotas = vec![quota("eu-west-1", Market::Spot, 32, 26), quota("eu-west-1", Market::OnDemand, 0, 0)];
    let made = decide(
        Wanted { spread: Spread::Cheapest, ..wanted(5) },
        vec![small.clone(), region("us-west-2", vec![pool("us-west-2a", "m5.large", 0.02)])],
    );
    assert_eq!(summary(&made), ["eu-west-1 spot 3 eu-west-1a", "us-west-2 spot 2 us-west-2a"]);
    let why = texts(&made);
    assert!(why.contains("eu-west-1: spot quota (L-34B43A08) has room for 6 vCPU: 3 and no more"), "{why}");
    let made = decide(Wanted { market: Market::OnDemand, ..wanted(5) }, vec![small]);
    assert_eq!((made.count, made.missing), (0, 5));
    assert!(texts(&made).contains("on-demand quota (L-1216C47A) has room for 0 vCPU, one needs 2"));
}

#[test]
fn a_type_too_large_for_the_room_is_left_to_others() {
    let mut big = pool("a-1", "m5.2xlarge", 0.01);
    big.vcpu = 8;
    let mut here = region("a", vec![big, pool("a-1", "m5.large", 0.02)]);
    here.quotas = vec![quota("a", Market::Spot, 8, 0)];
    let made = decide(wanted(3), vec![here]);
    assert_eq!(made.regions[0].pools.len(), 1);
    assert_eq!(made.regions[0].pools[0].instance_type, "m5.large");
    assert!(texts(&made).contains("has room for 8 vCPU, too little for 3, one needs 8"), "{}", texts(&made));
}

#[test]
fn what_is_missing_goes_to_the_next_pools_and_never_to_one_that_refused() {
    let markets = vec![
        region("a", vec![pool("a-1", "m5.large", 0.01), pool("a-2", "m5.large", 0.015)]),
        region("b", vec![pool("b-1", "m5.large", 0.03)]),
    ];
    let spread = Spread::Cheapest;
    let made = decide(Wanted { spread, on_demand_last: true, ..wanted(6) }, markets);
    assert_eq!(summary(&made), ["a spot 6 a-1"]);
    let next = made.again(&placed("a", "a-1", 2), &[refused("a", "a-1", "m5.large", GONE)]);
    assert_eq!(summary(&next), ["a spot 4 a-2"]);
    assert!(texts(&next).contains("a-1 m5.large: refused InsufficientInstanceCapacity in this run"));
    let next = next.again(&placed("a", "a-2", 1), &[refused("a", "a-2", "m5.large", GONE)]);
    assert_eq!(summary(&next), ["b spot 3 b-1"]);
    let last = next.again(&[], &[refused("b", "b-1", "m5.large", "UnfulfillableCapacity")]);
    assert_eq!(last.count, 3);
    assert!(last.regions.iter().all(|share| share.market == Market::OnDemand), "{last:?}");
    let all = last.again(&placed("a", "a-1", 3), &[]);
    assert_eq!((all.count, all.missing), (0, 0));
}

#[test]
fn a_quota_that_was_met_closes_the_family_and_a_region_that_failed_closes_all() {
    let mut big = pool("a-1", "m5.2xlarge", 0.01);
    big.vcpu = 8;
    let mut bigger = pool("a-2", "c5.4xlarge", 0.01);
    bigger.vcpu = 16;
    let here = region("a", vec![big, bigger, pool("a-1", "m5.large", 0.05), pool("a-1", "g5.xlarge", 0.5)]);
    let made = decide(wanted(1), vec![here]);
    let next = made.again(&[], &[refused("a", "a-1", "m5.2xlarge", "MaxSpotInstanceCountExceeded")]);
    let types: Vec<&str> = next.regions[0].pools.iter().map(|it| it.instance_type.as_str()).collect();
    assert_eq!(types, ["m5.large", "g5.xlarge"]);
    let none = made.again(&[], &[refused("a", "", "", "UnauthorizedOperation")]);
    assert_eq!((none.count, none.missing), (0, 1));
    assert!(texts(&none).contains("a: refused UnauthorizedOperation in this run"));
}

#[test]
fn base_and_share_decide_how_many_are_on_demand() {
    let markets = vec![region("a", vec![pool("a-1", "m5.large", 0.01)])];
    let mixed = Wanted { on_demand_base: 2, spot_percent: 75, ..wanted(10) };
    assert_eq!(mixed.on_demand(), 4);
    let made = decide(mixed, markets);
    assert_eq!(summary(&made), ["a spot 6 a-1", "a on-demand 4 a-1"]);
    assert!((made.hourly.unwrap() - 0.46).abs() < 1e-9);
    assert_eq!(Wanted { on_demand_base: 20, ..wanted(3) }.on_demand(), 3);
    assert_eq!(Wanted { spot_percent: 50, ..wanted(3) }.on_demand(), 2);
    assert_eq!(Wanted { market: Market::OnDemand, ..wanted(3) }.on_demand(), 3);
}

#[test]
fn prices_bound_one_and_all() {
    let markets = vec![region(
        "a",
        vec![pool("a-1", "m5.large", 0.01), pool("a-2", "m5.large", 0.04), pool("a-3", "m5.large", 0.09)],
    )];
    let made = decide(Wanted { max_price: Some(0.05), ..wanted(2) }, markets.clone());
    assert_eq!(made.regions[0].pools.len(), 2);
    assert!(texts(&made).contains("a-3 m5.large: costs $0.09, more than $0.05"));

    let made = decide(Wanted { max_hourly: Some(0.1), ..wanted(2) }, markets.clone());
    assert_eq!(made.count, 2);
    assert!(made.hourly_most.unwrap() <= 0.1 + 1e-9, "{made:?}");
    assert!(texts(&made).contains("pools at $0.09 left out: all together must not cost more than $0.10"));

    let made = decide(Wanted { max_hourly: Some(0.035), ..wanted(5) }, markets.clone());
    assert_eq!((made.count, made.missing), (3, 2));
    // What was launched is spent.
    let next = made.again(&placed("a", "a-1", 3), &[]);
    assert_eq!((next.count, next.missing), (0, 2));

    let mut unknown = markets;
    unknown[0].pools[0].spot = None;
    let made = decide(Wanted { max_hourly: Some(1.0), ..wanted(1) }, unknown.clone());
    assert!(texts(&made).contains("a-1 m5.large: its price is unknown"), "{}", texts(&made));
    assert_eq!(decide(wanted(1), unknown).regions[0].pools.len(), 3);
}

#[test]
fn an_order_that_is_too_dear_gives_way_to_the_prices() {
    let markets = vec![
        region("cheap", vec![scored(pool("cheap-a", "m5.large", 0.01), 1)]),
        region("dear", vec![scored(pool("dear-a", "m5.large", 0.05), 10)]),
    ];
    let made = decide(Wanted { max_hourly: Some(0.05), ..wanted(4) }, markets);
    assert_eq!(summary(&made), ["cheap spot 4 cheap-a"]);
}

#[test]
fn a_region_with_a_problem_is_explained_and_left_out() {
    let mut broken = region("a", vec![]);
    broken.problem = Some("not enabled for the account".to_owned());
    let made = decide(
        wanted(1),
        vec![broken, region("b", vec![]), region("c", vec![pool("c-1", "m5.large", 0.01)])],
    );
    assert_eq!(summary(&made), ["c spot 1 c-1"]);
    let why = texts(&made);
    assert!(why.contains("a: not enabled for the account") && why.contains("b: no zone offers any"), "{why}");
}

#[test]
fn impossible_wishes_are_refused() {
    for wish in [
        wanted(0),
        Wanted { max_price: Some(0.0), ..wanted(1) },
        Wanted { max_hourly: Some(f64::NAN), ..wanted(1) },
        Wanted { spot_percent: 101, ..wanted(1) },
    ] {
        assert!(Allocation::decide(wish, Vec::new()).is_err());
    }
}

#[test]
fn a_decision_survives_json() {
    let made = decide(wanted(2), vec![region("a", vec![pool("a-1", "m5.large", 0.01)])]);
    let json = serde_json::to_value(&made).unwrap();
    assert_eq!(json["regions"][0]["pools"][0]["type"], "m5.large");
    assert_eq!(json["basis"]["wanted"]["spread"], "balanced");
    assert_eq!(serde_json::from_value::<Allocation>(json).unwrap(), made);
}

#[test]
fn a_region_with_a_number_of_its_own_gets_it_in_the_first_round() {
    let one = |name: &str, price| region(name, vec![pool(&format!("{name}-1"), "m5.large", price)]);
    let mut regions = vec![one("a", 0.1), one("b", 0.1), one("c", 0.1)];
    regions[0].fixed = Some(4);
    let even = Wanted { spread: Spread::Even, ..wanted(6) };
    let made = decide(even, regions);
    assert_eq!(summary(&made), ["a spot 4 a-1", "b spot 1 b-1", "c spot 1 c-1"]);
    let came = [placed("b", "b-1", 1), placed("c", "c-1", 1)].concat();
    let next = made.again(&came, &[refused("a", "a-1", "m5.large", "InsufficientInstanceCapacity")]);
    assert_eq!(summary(&next), ["b spot 2 b-1", "c spot 2 c-1"]);
}
