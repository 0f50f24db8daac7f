# scope
lab="astro"
node.name="scope"
os.name="linux"
os.version=v12
os.arch="x86_64"
cpu.cores=8
cpu.flags=["aes", "avx", "avx2", "fma", "sse4_2"]
mem.total=32GiB
mem.free=20GiB
disk.free=400GB
net.down=940Mbit/s
net.up=940Mbit/s
load=0.31
rtt=4ms
ad.age=5s
tools=["ffmpeg", "python3.9"]
job.mem=4GiB
job.lab="astro"
job.in=2GB
+source name="sky0"; kind="camera"; rate=25Hz; size=8MiB; schema="frame/u16"; replay=10min; topic="astro/sky0"; live=true
+source name="wx"; kind="weather"; rate=0.1Hz; size=1KiB; schema="text"; replay=7d; topic="astro/wx"; live=true
---
# gpu
lab="phys"
node.name="gpu"
os.name="linux"
os.version=v12.5
os.arch="x86_64"
cpu.cores=64
cpu.flags=["aes", "avx", "avx2", "avx512f", "fma", "sse4_2"]
mem.total=512GiB
mem.free=300GiB
disk.free=2TB
net.down=10Gbit/s
net.up=10Gbit/s
load=0.72
rtt=18ms
ad.age=12s
cuda=v12.4
tools=["gcc", "python3.11", "zstd"]
site.power="grid"
job.mem=4GiB
job.lab="astro"
job.in=2GB
+gpu index=0; name="H200"; vendor="nvidia"; mem=141GB; cc=v9.0; free=true
+gpu index=1; name="A40"; vendor="nvidia"; mem=48GiB; cc=v8.6; free=false
+sandbox name="ns"
+sandbox name="plain"
---
# laptop
lab="bio"
node.name="laptop"
os.name="linux"
os.arch="aarch64"
cpu.cores=4
mem.total=8GiB
mem.free=3GiB
disk.free=60GB
net.down=80Mbit/s
net.up=20Mbit/s
rtt=42ms
ad.age=40s
battery=0.6
tools=["python3.9"]
job.mem=4GiB
job.lab="astro"
job.in=2GB
+sandbox name="plain"
