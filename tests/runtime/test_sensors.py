from __future__ import annotations

from pathlib import Path

import pytest

from edgetl.runtime.sensors import EnergyMeter, Sensors, read_line

_CPU = "sys/devices/system/cpu"


def _write(root: Path, files: dict[str, str]) -> None:
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"{text}\n")


def _vcgencmd(folder: Path, script: str) -> str:
    path = folder / "vcgencmd"
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    return str(path)


def test_machine_without_sensors_has_no_readings(tmp_path: Path) -> None:
    sensors = Sensors(tmp_path)
    assert sensors.temperature_c() is None
    assert sensors.frequency_mhz() is None
    assert sensors.governor() is None
    assert sensors.throttled() == ()
    assert sensors.power_w() is None
    meter = EnergyMeter(sensors)
    meter.tick()
    assert meter.read_j() is None


def test_hottest_zone_and_fastest_core_are_reported(tmp_path: Path) -> None:
    _write(
        tmp_path,
        {
            "sys/class/thermal/thermal_zone0/temp": "41200",
            "sys/class/thermal/thermal_zone1/temp": "55500",
            "sys/class/thermal/thermal_zone2/temp": "no number",
            f"{_CPU}/cpu0/cpufreq/scaling_cur_freq": "600000",
            f"{_CPU}/cpu0/cpufreq/scaling_governor": "ondemand",
            f"{_CPU}/cpu3/cpufreq/scaling_cur_freq": "1500000",
        },
    )
    sensors = Sensors(tmp_path)
    assert sensors.temperature_c() == 55.5
    assert sensors.frequency_mhz() == 1500.0
    assert sensors.governor() == "ondemand"


def test_throttling_is_reported_while_it_lasts(tmp_path: Path) -> None:
    count = f"{_CPU}/cpu0/thermal_throttle/core_throttle_count"
    device = "sys/class/thermal/cooling_device0"
    _write(tmp_path, {count: "7", f"{device}/type": "cpufreq-cpu0", f"{device}/cur_state": "0"})
    # A fan does not slow the processor down.
    fan = "sys/class/thermal/cooling_device1"
    _write(tmp_path, {f"{fan}/type": "pwm-fan", f"{fan}/cur_state": "3"})
    sensors = Sensors(tmp_path)
    assert sensors.throttled() == ()
    _write(tmp_path, {count: "9", f"{device}/cur_state": "2"})
    assert sensors.throttled() == ("cooled by cpufreq-cpu0", "throttled by temperature")
    assert sensors.throttled() == ("cooled by cpufreq-cpu0",)


@pytest.mark.parametrize(
    ("script", "expected"),
    [
        pytest.param("echo throttled=0x0", (), id="fine"),
        pytest.param("echo throttled=0x50000", (), id="only in the past"),
        pytest.param("echo throttled=0x50005", ("under-voltage", "throttled"), id="now"),
        pytest.param(
            "echo throttled=0xa", ("frequency capped", "soft temperature limit"), id="hot"
        ),
        pytest.param("echo gibberish", (), id="unreadable output"),
        pytest.param("exit 1", (), id="fails"),
    ],
)
def test_raspberry_pi_reports_why_it_is_slow(
    tmp_path: Path, script: str, expected: tuple[str, ...]
) -> None:
    assert Sensors(tmp_path, _vcgencmd(tmp_path, script)).throttled() == expected


def test_energy_of_packages_adds_up_over_a_counter_that_wraps_around(tmp_path: Path) -> None:
    rapl = "sys/class/powercap/intel-rapl:"
    limits = {f"{rapl}{name}/max_energy_range_uj": "9000000" for name in ("0", "1", "0:0")}
    _write(tmp_path, limits)
    counts = {f"{rapl}0/energy_uj": "8000000", f"{rapl}1/energy_uj": "0"}
    _write(tmp_path, {**counts, f"{rapl}0:0/energy_uj": "0"})
    meter = EnergyMeter(Sensors(tmp_path))
    _write(tmp_path, {f"{rapl}0/energy_uj": "500000", f"{rapl}1/energy_uj": "250000"})
    # The energy of a package includes its parts.
    _write(tmp_path, {f"{rapl}0:0/energy_uj": "700000"})
    meter.tick()
    _write(tmp_path, {f"{rapl}0/energy_uj": "1500000"})
    assert meter.read_j() == pytest.approx(1.5 + 0.25 + 1.0)


def test_energy_of_a_board_is_its_input_power_over_time(tmp_path: Path) -> None:
    ina = "sys/class/hwmon/hwmon3"
    channels = {
        f"{ina}/name": "ina3221",
        f"{ina}/in1_label": "VDD_IN",
        f"{ina}/in1_input": "5000",
        f"{ina}/curr1_input": "1000",
        f"{ina}/in2_label": "VDD_CPU_GPU_CV",
        f"{ina}/in2_input": "5000",
        f"{ina}/curr2_input": "400",
        "sys/class/hwmon/hwmon0/name": "nvme",
    }
    _write(tmp_path, channels)
    clock = iter([0, 2 * 10**9, 3 * 10**9])
    sensors = Sensors(tmp_path)
    assert sensors.power_w() == 5.0
    meter = EnergyMeter(sensors, lambda: next(clock))
    _write(tmp_path, {f"{ina}/curr1_input": "1400"})
    meter.tick()
    # From 5 to 7 W in 2 s, then 7 W for 1 s.
    assert meter.read_j() == pytest.approx(12.0 + 7.0)


def test_only_channel_of_a_sensor_counts_without_a_label(tmp_path: Path) -> None:
    ina = "sys/class/hwmon/hwmon0"
    _write(tmp_path, {f"{ina}/name": "ina219", f"{ina}/curr1_input": "600"})
    sensors = Sensors(tmp_path)
    assert sensors.power_w() is None
    _write(tmp_path, {f"{ina}/power1_input": "3100000"})
    assert sensors.power_w() == 3.1
    second = {f"{ina}/in2_input": "5000", f"{ina}/curr2_input": "100", f"{ina}/in2_label": "CPU"}
    _write(tmp_path, second)
    assert sensors.power_w() is None


def _jetson_nano(root: Path, chip: str, rails: dict[str, str]) -> Path:
    """Create the files of a JetPack 4 chip: a driver's link to the bus, milliwatts by rail."""
    device = f"sys/devices/7000c400.i2c/i2c-6/{chip}/iio:device0"
    for number, (name, milliwatts) in enumerate(rails.items()):
        _write(
            root,
            {
                f"{device}/rail_name_{number}": name,
                f"{device}/in_power{number}_input": milliwatts,
                f"{device}/in_voltage{number}_input": "5000",
                f"{device}/in_current{number}_input": "999",
            },
        )
    driver = root / "sys/bus/i2c/drivers/ina3221x"
    driver.mkdir(parents=True, exist_ok=True)
    (driver / chip).symlink_to(root / f"sys/devices/7000c400.i2c/i2c-6/{chip}")
    return root / device


def test_energy_of_a_jetson_nano_is_that_of_its_input_rail(tmp_path: Path) -> None:
    rails = {"POM_5V_IN": "2875", "POM_5V_GPU": "40", "POM_5V_CPU": "640"}
    device = _jetson_nano(tmp_path, "6-0040", rails)
    clock = iter([0, 10**9])
    sensors = Sensors(tmp_path)
    assert sensors.power_w() == 2.875
    meter = EnergyMeter(sensors, lambda: next(clock))
    (device / "in_power0_input").write_text("3125\n")
    # From 2.875 to 3.125 W in 1 s.
    assert meter.read_j() == pytest.approx(3.0)


def test_old_name_of_the_same_device_is_not_counted_twice(tmp_path: Path) -> None:
    device = _jetson_nano(tmp_path, "0-0041", {"VDD_IN": "4000", "VDD_SYS_CPU": "700"})
    (device.parent / "iio_device").symlink_to(device)
    assert Sensors(tmp_path).power_w() == 4.0
    device.rename(device.with_name("hidden"))
    (device.parent / "iio_device").unlink()
    (device.parent / "iio_device").symlink_to(device.with_name("hidden"))
    assert Sensors(tmp_path).power_w() == 4.0


def test_rails_without_an_input_give_no_board_power(tmp_path: Path) -> None:
    _jetson_nano(tmp_path, "1-0040", {"GPU": "1000", "CPU": "2000"})
    assert Sensors(tmp_path).power_w() is None


def test_line_that_cannot_be_read_is_none(tmp_path: Path) -> None:
    (tmp_path / "binary").write_bytes(b"\xff\xfe")
    assert read_line(tmp_path / "binary") is None
    assert read_line(tmp_path / "none") is None
