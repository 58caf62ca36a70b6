//! Parameters told again in an answer: `BlockDeviceMapping.1.DeviceName` as
//! `<blockDeviceMappingSet><item><deviceName>`.

use super::request::Params;
use super::xml::Xml;

/// Writes everything below these parameters.
pub(super) fn write(xml: &mut Xml, params: &Params) {
    for (name, field) in params.entries() {
        if let Some(value) = field.value() {
            xml.text(&lowered(name), value);
        } else if field.is_list() {
            write_list(xml, name, field, params);
        } else {
            xml.element(&lowered(name), |xml| write(xml, field));
        }
    }
}

fn write_list(xml: &mut Xml, name: &str, list: &Params, owner: &Params) {
    // The groups of a network interface alone go by other names.
    let of_interface = name == "SecurityGroupId" && owner.has("DeviceIndex");
    let (set, item) = match of_interface {
        true => ("groupSet".to_owned(), "groupId"),
        false => (format!("{}Set", lowered(name)), "item"),
    };
    let mut numbered: Vec<(u64, &Params)> =
        list.entries().filter_map(|(number, member)| Some((number.parse().ok()?, member))).collect();
    numbered.sort_by_key(|(number, _)| *number);
    xml.element(&set, |xml| {
        for (_, member) in numbered {
            match member.value() {
                Some(value) => xml.text(item, value),
                None => xml.element(item, |xml| write(xml, member)),
            };
        }
    });
}

/// `DeviceName` as `deviceName`.
fn lowered(name: &str) -> String {
    let mut letters = name.chars();
    let first = letters.next().map(|letter| letter.to_ascii_lowercase());
    first.into_iter().chain(letters).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_become_sets() {
        let params = Params::parse(
            b"NetworkInterface.1.DeviceIndex=0&NetworkInterface.1.SecurityGroupId.1=sg-1&SecurityGroup.2=b\
              &SecurityGroup.1=a&Monitoring.Enabled=true",
        )
        .unwrap();
        let mut xml = Xml::new();
        write(&mut xml, &params);
        assert_eq!(
            xml.finish(),
            "<monitoring><enabled>true</enabled></monitoring><networkInterfaceSet><item><deviceIndex>0\
             </deviceIndex><groupSet><groupId>sg-1</groupId></groupSet></item></networkInterfaceSet>\
             <securityGroupSet><item>a</item><item>b</item></securityGroupSet>"
        );
    }
}
