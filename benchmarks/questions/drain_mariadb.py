"""How much of what the driver can do is left when the store drains a queue on MariaDB?"""

from __future__ import annotations

from benchmarks.plan import Comparison, Question, Run

JOBS = 20_000


QUESTION = Question(
    name="drain-mariadb",
    title="Drain 20,000 no-op jobs, MariaDB, one process, in batches of 100",
    family="mariadb",
    runs=(
        Run("pymysql", "blocking", "drain", "pymysql", JOBS, 100),
        Run("raw pymysql", "raw_pymysql", "drain", "pymysql", JOBS, 100),
        Run("asyncmy", "store", "drain", "asyncmy", JOBS, 100),
        Run("raw asyncmy", "raw_asyncmy", "drain", "asyncmy", JOBS, 100),
    ),
    comparisons=(
        Comparison("pymysql", "raw pymysql", 0.8),
        Comparison("asyncmy", "raw asyncmy", 0.8),
    ),
)
