"""How much of what the driver can do is left when jobs are saved on MariaDB?"""

from __future__ import annotations

from benchmarks.plan import Comparison, Question, Run

SINGLE, CONCURRENT, BULK = 2_000, 4_000, 20_000

QUESTION = Question(
    name="save-mariadb",
    title="Save jobs, MariaDB: sequential, ten in flight, 1,000 per call",
    family="mariadb",
    runs=(
        Run("pymysql sequential", "blocking", "save", "pymysql", SINGLE),
        Run("raw pymysql sequential", "raw_pymysql", "save", "pymysql", SINGLE),
        Run("asyncmy sequential", "store", "save", "asyncmy", SINGLE),
        Run("raw asyncmy sequential", "raw_asyncmy", "save", "asyncmy", SINGLE),
        Run("asyncmy ten in flight", "store", "save", "asyncmy", CONCURRENT, in_flight=10),
        Run("raw asyncmy ten in flight", "raw_asyncmy", "save", "asyncmy", CONCURRENT, 0, 10),
        Run("pymysql bulk", "blocking", "bulk", "pymysql", BULK, 1000),
        Run("raw pymysql bulk", "raw_pymysql", "bulk", "pymysql", BULK, 1000),
    ),
    comparisons=(
        Comparison("pymysql sequential", "raw pymysql sequential"),
        Comparison("asyncmy sequential", "raw asyncmy sequential"),
        Comparison("asyncmy ten in flight", "raw asyncmy ten in flight"),
        Comparison("pymysql bulk", "raw pymysql bulk"),
    ),
)
